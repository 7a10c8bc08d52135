"""The worker process: dispatcher, listener, flush worker and upkeep on one event loop, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Coroutine
from typing import Any

import redis.exceptions as rx
import uvloop

from buffer.errors import StoreError, StoreFull, StoreUnavailable
from buffer.store import Store
from buffer.transport.clients import connect, connect_sync
from buffer.transport.server_checks import check_server
from config.gc import tune_worker_gc
from config.killpoints import arm
from config.logs import get_logger
from config.settings import Settings, require
from worker.agent import Agent
from worker.dispatcher import Dispatcher
from worker.expiry_listener import ExpiryListener
from worker.flush import Flusher
from worker.rq.queue import JobQueue
from worker.rq.worker import MAINTENANCE_EVERY_S, AsyncWorker
from worker.upkeep import Upkeep

REDIS_TIMEOUT_S = 2.0
LISTEN_TIMEOUT_S = 10.0
AWAY_S = 0.5
FINAL_WRITE_S = 2.0
CANCEL_AGAIN_S = 0.2

log = get_logger()


class TaskCrashed(Exception):
    """A part of the worker ended by itself; start the process again."""


def run_worker(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; raises SettingsError, UnsafeServer or PartitionMismatch at start."""
    arm(settings.debouncer_kill_at)
    logging.getLogger("rq.worker").setLevel(logging.WARNING)
    uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    await WorkerProcess(settings).run()


class WorkerProcess:
    """Builds the parts of one worker process and runs them."""

    def __init__(self, settings: Settings) -> None:
        url = require(settings.redis_url, "REDIS_URL")
        queue_url = settings.rq_redis_url or url
        self._settings = settings
        self._agent = Agent(settings)
        self._store = Store(connect(url, timeout_s=REDIS_TIMEOUT_S), settings)
        self._listen_client = connect(url, timeout_s=LISTEN_TIMEOUT_S)
        self._queue_client = connect(queue_url, timeout_s=REDIS_TIMEOUT_S)
        self._connection = connect_sync(queue_url)
        self._broken: BaseException | None = None
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self) -> None:
        """Start, work, and end within SHUTDOWN_GRACE."""
        self._install_signals()
        try:
            if await self._reach_redis():
                await self._work()
        finally:
            await self._agent.close()
            for client in (self._store.client, self._listen_client, self._queue_client):
                await client.aclose()

    def _install_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    async def _reach_redis(self) -> bool:
        """Wait for a server that answers; False when asked to stop meanwhile."""
        told = False
        while not self._stop.is_set():
            try:
                await check_server(self._store.client, self._settings, accepting=False)
                await self._store.load_scripts()
                await asyncio.to_thread(self._connection.ping)
            except (StoreUnavailable, StoreFull, rx.RedisError, OSError) as error:
                if not told:
                    log.warning("waiting for Redis", error=str(error))
                told = True
                await asyncio.sleep(AWAY_S)
                continue
            return True
        return False

    async def _work(self) -> None:
        settings = self._settings
        queue = JobQueue(settings, self._connection, self._queue_client)
        flusher = Flusher(self._store, self._agent, settings)
        worker = AsyncWorker(queue, flusher.flush, settings.worker_concurrency)
        dispatcher = Dispatcher(self._store, queue, settings, worker)
        upkeep = Upkeep(self._store, settings)
        listener = ExpiryListener(
            self._listen_client, settings, dispatcher.wake, dispatcher.timer_expired, upkeep.request_repair
        )
        await self._register(worker)
        tune_worker_gc()
        log.info("worker started", name=worker.name, queue=queue.rq.name, concurrency=settings.worker_concurrency)
        feeding = self._tasks(dispatcher.run(), worker.admit())
        helping = self._tasks(listener.run(), upkeep.run(), self._maintain(worker))
        keeping = self._tasks(worker.registries.write_forever(), worker.registries.keep_alive())
        await self._until_stopped([*feeding, *helping, *keeping])
        log.info("stopping; no new jobs are taken", in_flight=worker.in_flight)
        dispatcher.stop()
        worker.stop_admission()
        await _cancel(helping)
        await asyncio.wait(feeding)
        await worker.finish(settings.shutdown_grace, self._hurry)
        await _cancel(keeping)
        await self._write_last(worker)
        await queue.close()
        log.info("worker stopped")
        if self._broken is not None:
            raise TaskCrashed(repr(self._broken))

    def _tasks(self, *coroutines: Coroutine[Any, Any, None]) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(coroutine) for coroutine in coroutines]

    async def _until_stopped(self, parts: list[asyncio.Task[None]]) -> None:
        """Wait for the signal; a part that ends by itself is a bug: stop in order, raise at the end."""
        stopped = asyncio.create_task(self._stop.wait())
        done, _ = await asyncio.wait([stopped, *parts], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        for task in done - {stopped}:
            error = task.exception()
            if error is not None:
                log.error("a part of the worker broke; stopping in order", error=repr(error), exc_info=error)
                self._broken = error

    async def _register(self, worker: AsyncWorker) -> None:
        """Show ourselves to RQ; on a full server the heartbeat does it once there is room again."""

        def announce() -> None:
            worker.subscribe()  # type: ignore[no-untyped-call]
            worker.register_birth()  # type: ignore[no-untyped-call]
            worker.set_state("idle")

        try:
            await asyncio.to_thread(announce)
        except (rx.RedisError, OSError) as error:
            log.warning("RQ does not list this worker yet; it works all the same", error=str(error))

    async def _maintain(self, worker: AsyncWorker) -> None:
        """RQ's clean-up of registries, at start and then every minute."""
        while True:
            with contextlib.suppress(rx.RedisError, OSError, StoreError):
                await asyncio.to_thread(worker.run_maintenance_tasks)
            await asyncio.sleep(MAINTENANCE_EVERY_S)

    async def _write_last(self, worker: AsyncWorker) -> None:
        with contextlib.suppress(TimeoutError, rx.RedisError, OSError):
            async with asyncio.timeout(FINAL_WRITE_S):
                await worker.registries.write()
                await asyncio.to_thread(worker.teardown)
        worker.registries.close()
        self._connection.connection_pool.disconnect()  # whoever waits for a frozen server in a thread waits no more


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel until it took effect: redis-py now and then swallows a cancellation of a command under way."""
    waiting = set(tasks)
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=CANCEL_AGAIN_S)
