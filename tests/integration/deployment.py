"""A deployment: one Redis server, one agent, and any number of webhook and worker processes around them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from buffer.insights import Insights
from buffer.keys import ref_of
from buffer.models import Conversation
from buffer.store import Clock, Store
from buffer.transport.clients import connect
from config.settings import Settings, load_settings
from tests.conversation_hash import read_conv
from tests.integration.agent import RecordingAgent
from tests.integration.polling import until
from tests.integration.processes import FAST_PATH, TOKEN, WORKER, Process, Webhook, Worker
from tests.servers import Server

T = TypeVar("T")

REPLY_WITHIN_S = 30.0
SHORT: dict[str, object] = {
    "message_buffer_timeout": 1.0,
    "message_buffer_max_wait": 20.0,
    "agent_timeout": 20.0,
    "shutdown_grace": 20.0,
    "retry_base": 0.3,
    "retry_max": 3.0,
    "visibility_time": 2.0,
    "generic_token": TOKEN,
    "evolution_token": TOKEN,
    "log_format": "json",
}
"""Settings that make tests short and leave the leases long: only tests of crashes wait for a lease to end."""

CRASHES: dict[str, object] = {"flush_lease": 1.5, "flush_renew_interval": 0.5, "visibility_time": 1.0}
"""Settings of the tests that wait until a dead process's work is due again."""

HOLDS: dict[str, object] = {"agent_timeout": 300.0, "shutdown_grace": 300.0}
"""Settings of the tests that hold calls: however busy the machine is, no call times out and comes again meanwhile."""


def person(peer: str) -> Conversation:
    """The conversation of a person on the generic gateway."""
    return Conversation("generic", "default", peer)


class Deployment:
    """Starts processes on one server and ends them all."""

    def __init__(self, folder: Path, server: Server, agent: RecordingAgent, **settings: object) -> None:
        self.server = server
        self.agent = agent
        self.redis: Any = server.client()
        self.settings = {**SHORT, "redis_url": server.url, "agent_url": agent.url, **settings}
        self._folder = folder
        self._started: list[Process] = []

    def webhook(
        self, workers: int = 1, *, ready: bool = True, options: Sequence[str] = FAST_PATH, **settings: object
    ) -> Webhook:
        """Start uvicorn with this many workers and options; settings are added to those of the deployment."""
        webhook = Webhook(workers, {**self.settings, **settings}, self._new_folder("webhook"), options)
        self._started.append(webhook)
        if ready:
            webhook.wait_ready()
        return webhook

    def worker(self, *, ready: bool = True, **settings: object) -> Worker:
        """Start a flush worker; settings are added to those of the deployment."""
        worker = Worker(WORKER, {**self.settings, **settings}, self._new_folder("worker"))
        self._started.append(worker)
        if ready:
            worker.wait_ready()
        return worker

    def workers(self, count: int, **settings: object) -> list[Worker]:
        """Start several flush workers side by side."""
        workers = [self.worker(ready=False, **settings) for _ in range(count)]
        for worker in workers:
            worker.wait_ready()
        return workers

    def run(self, arguments: list[str], **settings: object) -> Process:
        """Start any other program with the settings of the deployment."""
        process = Process(arguments, {**self.settings, **settings}, self._new_folder("process"))
        self._started.append(process)
        return process

    def settings_object(self, **overrides: object) -> Settings:
        """The settings of the deployment as the processes read them."""
        return load_settings(env_file=None, **{**self.settings, **overrides})

    def ask(self, operation: Callable[[Store], Awaitable[T]], clock: Clock | None = None, **overrides: object) -> T:
        """Run store operations from the test process, beside the deployment."""

        async def run() -> T:
            settings = self.settings_object(**overrides)
            store = Store(connect(str(settings.redis_url), timeout_s=REPLY_WITHIN_S), settings, clock)
            try:
                return await operation(store)
            finally:
                await store.close()

        return asyncio.run(run())

    def snapshot(self, limit: int = 50) -> dict[str, Any]:
        """What the buffer holds."""
        return self.ask(lambda store: store.snapshot(0, limit))

    def counters(self) -> Counter[str]:
        """What was counted: for all channels together, and for none."""

        async def read(store: Store) -> Counter[str]:
            insights = Insights(store)
            counters = Counter((await insights.gauges()).partition_counters)
            for totals in await insights.totals():
                counters.update(totals.counters)
            return counters

        return self.ask(read)

    def pending(self) -> int:
        """How many conversations anyone must still look at."""
        partitions = range(int(str(self.settings.get("redis_partitions", 1))))
        return sum(self.redis.zcard(f"deb:{{p{partition}}}:wake") for partition in partitions)

    def conversation(self, peer: str) -> dict[str, str]:
        """What Redis holds about a person on the generic gateway; empty when it knows nobody by that name."""
        return read_conv(self.redis.hgetall(f"deb:{{p0}}:conv:{ref_of(person(peer), 1).hash}"))

    def wait_drained(self, left: int = 0, within_s: float = 60.0) -> None:
        """Wait until nothing (but `left` conversations) is pending: every burst is acked, dead or discarded."""
        until("the wake index is empty", lambda: self.pending() <= left, within_s)

    def wait_calls(self, peer: str, count: int = 1) -> None:
        """Wait until the agent has got this many calls for a person."""
        until(f"{count} calls for {peer}", lambda: len(self.agent.calls_of(peer)) >= count)

    def close(self) -> None:
        """End every process."""
        for process in self._started:
            process.close()
        self.redis.close()

    def _new_folder(self, name: str) -> Path:
        folder = self._folder / f"{name}-{len(self._started)}"
        folder.mkdir()
        return folder
