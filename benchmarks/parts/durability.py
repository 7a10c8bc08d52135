"""Measure the webhook with each DURABILITY: the cost of a wait for a replica or for the disk before the 2xx."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import redis

from benchmarks.figures import Figure, attempt
from benchmarks.machine import valkey, wait_until
from benchmarks.parts.webhook import APPS, run
from benchmarks.table import Row
from config.settings import Settings

APPEND_ONLY = {"appendonly": "yes", "appendfsync": "always"}
MODES: dict[str, dict[str, str]] = {"memory": {}, "replica": {}, "disk": APPEND_ONLY}


def measure() -> Iterator[Row]:
    """Compare each mode with `memory`, on a server that supports it."""
    if "durability" not in Settings.model_fields:
        return
    found = {mode: attempt(lambda mode=mode: _requests_per_s(mode)) for mode in MODES}  # type: ignore[misc]
    for mode in list(MODES)[1:]:
        yield Row(f"webhook, DURABILITY={mode} (requests/s)", found[mode], "DURABILITY=memory", found["memory"])


def _requests_per_s(mode: str) -> Figure:
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(valkey(**MODES[mode]))
        if mode == "replica":
            _attach_replica(stack, url)
        return run(APPS["ours"], url, DURABILITY=mode).per_s


def _attach_replica(stack: contextlib.ExitStack, url: str) -> None:
    port = url.rpartition(":")[2].partition("/")[0]
    stack.enter_context(valkey(replicaof=f"127.0.0.1 {port}"))
    client = stack.enter_context(redis.Redis.from_url(url))
    wait_until(lambda: client.execute_command("WAIT", 1, 100) == 1, "no replica is in step")
