"""The worker process: dispatcher, expiry listener, RQ worker and upkeep on one event loop, and an orderly stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import redis.exceptions as rx
import uvloop

from buffer.errors import StoreError, StoreFull, StoreUnavailable
from buffer.held_agents import HeldAgents
from buffer.models import Batch
from buffer.store import Store
from buffer.transport.cancelling import cancel_all
from buffer.transport.clients import connect, connect_sync
from buffer.transport.server_checks import check_server
from config.descriptors import raise_descriptor_limit
from config.gc import tune_worker_gc
from config.killpoints import arm
from config.logs import get_logger
from config.route_watch import RouteWatch
from config.routes import load_routes
from config.settings import Settings, require
from config.tracing import open_spans
from worker import reply_client, typing_indicator
from worker.agents import Agents
from worker.breaker import Breakers
from worker.dispatcher import Dispatcher
from worker.expiry_listener import ExpiryListener
from worker.flush import Flusher
from worker.outage import Outage
from worker.rq.projector import Projector
from worker.rq.queue import JobQueue
from worker.rq.runner import Work
from worker.rq.worker import MAINTENANCE_EVERY_S, AsyncWorker
from worker.suspension import SuspensionLog
from worker.tracing import FlushTrace, trace_without_spans
from worker.upkeep import Upkeep

if TYPE_CHECKING:
    from config.otel import SpanMaker

REDIS_TIMEOUT_S = 2.0
LISTEN_TIMEOUT_S = 10.0
REDIS_RETRY_S = 0.5
FINAL_WRITE_S = 2.0
"""Time for the last write of RQ's registries. A stop does not wait longer for a frozen server."""

DESCRIPTORS_KEPT = 100 + reply_client.Limits().connections + typing_indicator.LIMITS.connections
"""File descriptors that no call to the agent may take.

They are those of Redis, RQ, name look-ups, logs and libraries, and those of the connections to gateways.
"""

log = get_logger()


class TaskCrashed(Exception):
    """A part of the worker ended by itself. The process must be started again."""


def run_worker(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT. Raises SettingsError, UnsafeServer or PartitionMismatch at start."""
    arm(settings.debouncer_kill_at)
    logging.getLogger("rq.worker").setLevel(logging.WARNING)
    uvloop.run(_serve(settings, open_spans()))


async def _serve(settings: Settings, spans: SpanMaker | None) -> None:
    try:
        await WorkerProcess(settings, flush_traces(spans)).run()
    finally:
        if spans is not None:
            await spans.close()


def flush_traces(spans: SpanMaker | None) -> Callable[[Batch], FlushTrace]:
    """Return what gives each flush its place in a trace."""
    if spans is None:
        return trace_without_spans
    from worker.flush_spans import FlushSpans

    return FlushSpans(spans.tracer)


class WorkerProcess:
    """Builds the parts of one worker process, runs them and stops them."""

    def __init__(self, settings: Settings, traces: Callable[[Batch], FlushTrace] = trace_without_spans) -> None:
        url = require(settings.redis_url, "REDIS_URL")
        queue_url = settings.rq_redis_url or url
        settings = bounded_by_descriptors(settings, raise_descriptor_limit())
        self._settings = settings
        self._routes = load_routes(settings)
        self._store = Store(connect(url, timeout_s=REDIS_TIMEOUT_S), settings)
        self._breakers = Breakers(HeldAgents(self._store), settings)
        self._agents = Agents(self._routes, self._breakers)
        self._flusher = Flusher(self._store, self._agents, settings, self._routes, traces)
        self._listen_client = connect(url, timeout_s=LISTEN_TIMEOUT_S)
        self._queue_client = connect(queue_url, timeout_s=REDIS_TIMEOUT_S)
        self._connection = connect_sync(queue_url)
        self._crash: BaseException | None = None
        self._stop_requested = asyncio.Event()
        self._stop_forced = asyncio.Event()

    async def run(self) -> None:
        """Work until a signal. Then end within SHUTDOWN_GRACE. Raises TaskCrashed if a part ended by itself."""
        self._install_signals()
        try:
            if await self._wait_for_redis():
                await self._work()
        finally:
            await self._flusher.close()
            await self._agents.close()
            for client in (self._store.client, self._listen_client, self._queue_client):
                await client.aclose()

    def _install_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if self._stop_requested.is_set():
            self._stop_forced.set()
        self._stop_requested.set()

    async def _wait_for_redis(self) -> bool:
        """Wait until Redis answers and passes the checks. Return False if a stop was requested meanwhile."""
        outage = Outage("waiting for Redis", "Redis answers")
        while not self._stop_requested.is_set():
            try:
                await check_server(self._store.client, self._settings, accepting=False)
                await self._store.load_scripts()
                await asyncio.to_thread(self._connection.ping)
            except (StoreUnavailable, StoreFull, rx.RedisError, OSError) as error:
                outage.fails(error)
                await asyncio.sleep(REDIS_RETRY_S)
                continue
            outage.works()
            return True
        return False

    async def _work(self) -> None:
        settings = self._settings
        queue = JobQueue(settings, self._connection, self._queue_client)
        flusher = self._flusher
        watch = RouteWatch(self._routes, self._on_new_routes)
        watch.install_signal()
        worker = AsyncWorker(
            queue,
            Work(flusher.flush, self._store.redrive),
            settings.worker_concurrency,
            SuspensionLog(self._store).note,
            keeps_finished=settings.rq_show_pending,
        )
        dispatcher = Dispatcher(self._store, queue, settings, worker.runner, flusher.renew_leases)
        projector = Projector(self._store, queue, self._queue_client, worker.name, dispatcher.is_idle)
        upkeep = Upkeep(self._store, settings)
        listener = ExpiryListener(
            self._listen_client, settings, dispatcher.wake, dispatcher.timer_expired, upkeep.request_repair
        )
        await self._register(worker)
        tune_worker_gc()
        log.info("worker started", name=worker.name, queue=queue.rq.name, concurrency=settings.worker_concurrency)
        feeding = _start(dispatcher.run(), worker.runner.consume())
        self._breakers.use(self._agents.tags())
        helping = _start(
            listener.run(), upkeep.run(), self._breakers.run(), self._maintain(worker), _watch_forever(watch)
        )
        showing = _start(worker.registries.write_forever(), worker.registries.keep_alive(), self._project(projector))
        await self._until_stopped([*feeding, *helping, *showing])
        log.info(_stop_sentence(worker.runner.in_flight, settings.shutdown_grace), in_flight=worker.runner.in_flight)
        dispatcher.stop()
        worker.runner.stop()
        await cancel_all(helping)
        # Not cancelled: a pass or a pop that is cut short would strand the jobs that it takes from the queue.
        await asyncio.wait(feeding)
        await worker.runner.drain(settings.shutdown_grace, self._stop_forced)
        await cancel_all(showing)
        await projector.close()
        await self._write_last(worker)
        await _retire(upkeep)
        await queue.close()
        log.info("worker stopped")
        if self._crash is not None:
            raise TaskCrashed(repr(self._crash))

    def _on_new_routes(self) -> None:
        self._agents.retire_unused()
        self._breakers.use(self._agents.tags())

    async def _until_stopped(self, tasks: list[asyncio.Task[None]]) -> None:
        """Wait for a signal, or for a task that ends by itself. Store the error of such a task, which is a bug."""
        stopped = asyncio.create_task(self._stop_requested.wait())
        done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        for task in done - {stopped}:
            error = task.exception()
            if error is not None:
                log.error("a part of the worker broke; stopping in order", error=repr(error), exc_info=error)
                self._crash = error

    async def _register(self, worker: AsyncWorker) -> None:
        """Register the worker in RQ. If RQ's server is full or away, a later heartbeat registers it."""
        try:
            await asyncio.to_thread(worker.announce)
        except (rx.RedisError, OSError) as error:
            log.warning("RQ does not list this worker yet; it works all the same", error=str(error))

    async def _maintain(self, worker: AsyncWorker) -> None:
        """Run RQ's clean-up of registries at start and then every minute."""
        while True:
            with contextlib.suppress(rx.RedisError, OSError, StoreError):
                await asyncio.to_thread(worker.run_maintenance_tasks)
            await asyncio.sleep(MAINTENANCE_EVERY_S)

    async def _project(self, projector: Projector) -> None:
        """Show pending flushes in RQ. With RQ_SHOW_PENDING off, remove what was shown, and wait until cancelled."""
        if self._settings.rq_show_pending:
            await projector.run()
        await projector.clear()
        await asyncio.Event().wait()

    async def _write_last(self, worker: AsyncWorker) -> None:
        with contextlib.suppress(TimeoutError, rx.RedisError, OSError):
            async with asyncio.timeout(FINAL_WRITE_S):
                await worker.registries.write()
                await asyncio.to_thread(worker.teardown)
        worker.registries.close()
        # Threads cannot be cancelled. One that waits for a frozen server ends when its connection is closed.
        self._connection.connection_pool.disconnect()


def bounded_by_descriptors(settings: Settings, limit: int) -> Settings:
    """Return the settings with as many calls in flight as this process may open connections for."""
    most = max(1, limit - DESCRIPTORS_KEPT)
    if settings.worker_concurrency <= most:
        return settings
    log.warning(
        f"WORKER_CONCURRENCY={settings.worker_concurrency} is more than this process may open files for; "
        f"it makes at most {most} calls at once. Raise the hard limit (ulimit -Hn, LimitNOFILE=, --ulimit nofile=)",
        limit=limit,
    )
    return settings.model_copy(update={"worker_concurrency": most})


def _stop_sentence(calls: int, grace_s: float) -> str:
    if not calls:
        return "stopping; no new jobs are taken"
    waiting = f"waiting up to {grace_s:g} s for {calls} call{'' if calls == 1 else 's'}"
    return f"stopping; no new jobs are taken; {waiting}; a second signal hands them back"


async def _retire(upkeep: Upkeep) -> None:
    """Tell that this deployment works here no more, if Redis is there."""
    with contextlib.suppress(TimeoutError, rx.RedisError, OSError):
        async with asyncio.timeout(FINAL_WRITE_S):
            await upkeep.retire()


async def _watch_forever(watch: RouteWatch) -> None:
    """Watch the routes. Without a routes file, wait until cancelled: a part that ends stops the worker."""
    await watch.run()
    await asyncio.Event().wait()


def _start(*coroutines: Coroutine[Any, Any, None]) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(coroutine) for coroutine in coroutines]
