# One image for `debouncer serve` and `debouncer worker`. Everything in one container, with its messages in a volume:
#   docker run -e AGENT_URL=... -e EVOLUTION_TOKEN=... -v debouncer-data:/var/lib/debouncer/data -p 8000:8000 \
#     debouncer up --host 0.0.0.0
FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/debouncer
WORKDIR /src
# With spans for OpenTelemetry (docs/tracing.md): --build-arg LOCK=deploy/otel.lock
ARG LOCK=deploy/requirements.lock
COPY deploy/requirements.lock deploy/otel.lock deploy/
RUN /opt/debouncer/bin/pip install --require-hashes -r "$LOCK"
COPY pyproject.toml README.md LICENSE ./
COPY agents agents
COPY buffer buffer
COPY cli cli
COPY config config
COPY gateways gateways
COPY webhook webhook
COPY worker worker
RUN /opt/debouncer/bin/pip install --no-deps --no-build-isolation .

FROM python:3.13-slim
LABEL org.opencontainers.image.title="debouncer" \
      org.opencontainers.image.description="Holds a burst of WhatsApp messages until the person pauses, then makes one call to the agent." \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/debouncer debouncer \
    && install --directory --owner=debouncer --mode=700 /var/lib/debouncer/data
COPY --from=build /opt/debouncer /opt/debouncer
ENV PATH=/opt/debouncer/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/debouncer
USER debouncer
# DATA_DIR of `debouncer up`. `serve` and `worker` write nothing there.
VOLUME /var/lib/debouncer/data
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["debouncer"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
