# One image, two services: `debouncer serve` and `debouncer worker`.
FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/debouncer
WORKDIR /src
COPY deploy/requirements.lock deploy/requirements.lock
RUN /opt/debouncer/bin/pip install --require-hashes -r deploy/requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY buffer buffer
COPY cli cli
COPY config config
COPY gateways gateways
COPY webhook webhook
COPY worker worker
RUN /opt/debouncer/bin/pip install --no-deps --no-build-isolation .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/debouncer debouncer
COPY --from=build /opt/debouncer /opt/debouncer
ENV PATH=/opt/debouncer/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/debouncer
USER debouncer
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["debouncer"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
