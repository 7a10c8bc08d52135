"""The webhook application: webhooks go to `WebhookEndpoint`, all other paths to FastAPI. Both share one lifespan."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.types import Receive, Scope, Send

from buffer.errors import PartitionMismatch, StoreError, UnsafeServer
from buffer.store import Store
from buffer.transport.clients import connect
from buffer.transport.server_checks import check_server
from config.descriptors import connections_max, raise_descriptor_limit
from config.gc import tune_webhook_gc
from config.killpoints import arm
from config.logs import get_logger
from config.route_watch import RouteWatch
from config.routes import load_routes
from config.settings import Settings, require
from webhook.admin.gate import AdminGate
from webhook.admin.routes import add_admin
from webhook.asgi import WebhookEndpoint
from webhook.dashboard.access import Doorkeeper
from webhook.dashboard.broadcast import Broadcaster
from webhook.dashboard.routes import Dashboard, dashboard_routes
from webhook.dashboard.shutdown import StopSignals
from webhook.dashboard.sign_in import sign_in_routes
from webhook.dashboard.snapshot import SnapshotReader
from webhook.fast_path import INGEST
from webhook.ingest import Ingest
from webhook.limits import LIMITS, ConnectionLimits
from webhook.metrics.routes import metrics_routes
from webhook.metrics.scrape import Scraper
from webhook.openapi import add_webhooks, without_422
from webhook.pages import about_routes, add_docs, add_error_form
from webhook.pending_request import Spans
from webhook.probes import probe_routes
from webhook.tallies import Tallies

if TYPE_CHECKING:
    from config.otel import SpanMaker

REDIS_TIMEOUT_S = 1.0
"""Seconds that one Redis command may take. It is below STORE_TIMEOUT_S, so that a failed append can be sent again."""

RECHECK_S = 0.5
"""Seconds between two attempts to reach Redis at start."""

LAST_TALLY_S = 2.0
"""Seconds that the end of the process may wait for Redis to take its last counts."""

log = get_logger()


class App:
    """An ASGI application. Build it with create_app."""

    def __init__(self, settings: Settings, spans: SpanMaker | None = None) -> None:
        self.settings = settings
        self._spans = spans
        self._routes = load_routes(settings)
        self.ingest = Ingest(settings, self._routes, _append_spans(spans))
        self._webhooks = WebhookEndpoint(self.ingest)
        self.api = self._build_api()
        self._gate = AdminGate(self.api, settings.admin_token, settings.agent_answer_token)
        self._redis_url = require(settings.redis_url, "REDIS_URL")
        self._store: Store | None = None
        self._ready = False
        self._reconnecting: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._tallies = Tallies(self.ingest.left_out, self.ingest.append_times, self.ingest.duplicates)
        self._tallying: asyncio.Task[None] | None = None
        self._reading_windows: asyncio.Task[None] | None = None
        self._scraper: Scraper | None = None
        self._snapshots: SnapshotReader | None = None
        self._broadcaster: Broadcaster | None = None
        self._stop_signals: StopSignals | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an ASGI connection to the webhooks, the lifespan or FastAPI."""
        if scope["type"] == "http" and scope["path"].startswith("/webhooks/"):
            await self._webhooks(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        else:
            await self._gate(scope, receive, send)

    def _build_api(self) -> FastAPI:
        own_version = version("debouncer")
        # FastAPI's own pages load scripts from a CDN
        api = FastAPI(
            title="debouncer", version=own_version, summary="One burst, one answer", docs_url=None, redoc_url=None
        )
        add_error_form(api)
        api.include_router(about_routes(own_version, has_page=self.settings.webhook_dashboard))
        if self.settings.webhook_docs:
            add_docs(api)
        api.include_router(probe_routes(self._ready_store, lambda: self.ingest.not_ready_reason))
        add_admin(api, self._ready_store, lambda: self.ingest.not_ready_reason)
        api.include_router(
            metrics_routes(lambda: self._scraper, lambda: self.ingest.not_ready_reason, self.settings.admin_token)
        )
        if self.settings.webhook_dashboard:
            self._add_page(api)

        def describe() -> dict[str, Any]:
            if api.openapi_schema is None:
                schema = get_openapi(title=api.title, version=api.version, summary=api.summary, routes=api.routes)
                api.openapi_schema = add_webhooks(without_422(schema))
            return api.openapi_schema

        api.openapi = describe  # type: ignore[method-assign]
        return api

    def _add_page(self, api: FastAPI) -> None:
        settings, ingest = self.settings, self.ingest
        keeper = Doorkeeper(settings.admin_token, settings.webhook_allow_unsigned)
        dashboard = Dashboard(keeper, lambda: self._broadcaster, lambda: ingest.not_ready_reason, ingest.store)
        api.include_router(dashboard_routes(dashboard))
        if settings.admin_token is not None:
            is_https = (settings.public_base_url or "").startswith("https://")
            api.include_router(sign_in_routes(settings.admin_token, is_https=is_https))

    def _ready_store(self) -> Store | None:
        """Return the store, or None as long as no messages are accepted."""
        return self._store if self._ready else None

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        scope.get("state", {}).update({INGEST: self.ingest, LIMITS: self._connection_limits()})
        try:
            await self._start()
        except (UnsafeServer, PartitionMismatch) as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._stop()
        await send({"type": "lifespan.shutdown.complete"})

    def _connection_limits(self) -> ConnectionLimits:
        settings = self.settings
        most = connections_max(raise_descriptor_limit())
        tell = self.ingest.left_out.refuse_connection
        return ConnectionLimits(settings.webhook_head_timeout, settings.webhook_body_timeout, most, tell)

    async def _start(self) -> None:
        tune_webhook_gc()
        if self.settings.webhook_allow_unsigned:
            log.warning("WEBHOOK_ALLOW_UNSIGNED=true: anyone who reaches this port can post messages")
        client = connect(self._redis_url, timeout_s=REDIS_TIMEOUT_S)
        store = self._store = Store(client, self.settings)
        watch = RouteWatch(self._routes)
        watch.install_signal()
        self._watching = asyncio.create_task(watch.run())
        try:
            await self._check_and_accept(store)
        except (UnsafeServer, PartitionMismatch):
            await store.close()
            raise
        except StoreError as error:
            self.ingest.not_ready_reason = str(error)
            log.warning("Redis cannot be reached; webhooks get 503 until it can", error=str(error))
            self._reconnecting = asyncio.create_task(self._reconnect(store))

    async def _check_and_accept(self, store: Store) -> None:
        for warning in await check_server(store.client, self.settings):
            log.warning(warning)
        await store.load_scripts()
        await self.ingest.windows.read(store)
        self.ingest.accept_into(store)
        self._ready = True
        self._scraper = Scraper(store, self.settings)
        if self.settings.webhook_dashboard:
            self._snapshots = SnapshotReader(store, self._routes)
            self._broadcaster = Broadcaster(self._snapshots.read)
            self._stop_signals = StopSignals(self._broadcaster.close)
        self._tallying = asyncio.create_task(self._tallies.run(store))
        self._reading_windows = asyncio.create_task(self.ingest.windows.run(store))

    async def _reconnect(self, store: Store) -> None:
        while not self._ready:
            await asyncio.sleep(RECHECK_S)
            try:
                await self._check_and_accept(store)
            except StoreError as error:
                self.ingest.not_ready_reason = str(error)
        log.info("Redis can be reached; webhooks are accepted")

    async def _stop(self) -> None:
        self.ingest.left_out.flush(everything=True)
        for task in (self._reconnecting, self._watching, self._reading_windows):
            if task is not None:
                task.cancel()
        if self._tallying is not None:
            self._tallies.stop()
            await asyncio.wait({self._tallying}, timeout=LAST_TALLY_S)
        if self._broadcaster is not None:
            self._broadcaster.close()
        if self._stop_signals is not None:
            self._stop_signals.restore()
        for reader in (self._scraper, self._snapshots):
            if reader is not None:
                await reader.close()
        if self._store is not None:
            await self._store.close()
        if self._spans is not None:
            await self._spans.close()


def _append_spans(spans: SpanMaker | None) -> Spans | None:
    if spans is None:
        return None
    from webhook.append_spans import AppendSpans

    return AppendSpans(spans.tracer)


def create_app(settings: Settings, spans: SpanMaker | None = None) -> App:
    """Build the webhook application. Raises SettingsError if REDIS_URL is not set, or ROUTES_FILE cannot be used."""
    arm(settings.debouncer_kill_at)
    return App(settings, spans)
