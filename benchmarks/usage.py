"""What a running process and a server use: CPU, memory, commands."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import redis

from benchmarks.figures import Meaningless
from benchmarks.machine import wait_until

T = TypeVar("T")

WORKERS = "rq:workers"
QUIET_PER_S = 60
STOLEN_MAX_PERCENT, ATTEMPTS = 2.0, 3
SETTLE_WITHIN_S = 90.0


def cpu_s(pid: int) -> float:
    """CPU seconds of all living threads of a process, to the nanosecond."""
    spent = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread may end meanwhile
            spent += int((task / "schedstat").read_text().split()[0])
    return spent / 1e9


class Quiet:
    """How much of the machine other processes take from now on; ours are known once they have ended."""

    def __init__(self) -> None:
        self._began, self._busy_s, self._own_s = time.monotonic(), _busy_s(), _own_s()

    def others_percent(self) -> float:
        """Their share of all cores, what a host took from its guest included."""
        others_s = _busy_s() - self._busy_s - (_own_s() - self._own_s)
        return max(0.0, others_s / (time.monotonic() - self._began) / (os.cpu_count() or 1) * 100)


def _busy_s() -> float:
    """CPU seconds of the machine since it started: user, nice, system, interrupts and stolen, not idle and waiting."""
    ticks = _ticks()
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def _ticks() -> list[int]:
    return [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]


class Stolen:
    """How much of a virtual machine its host takes from now on, for others."""

    def __init__(self) -> None:
        self._began = _ticks()

    def percent(self) -> float:
        """Its share of all cores since then."""
        passed = [now - then for then, now in zip(self._began, _ticks(), strict=True)]
        return 100 * passed[7] / max(1, sum(passed))


def is_disturbed(stolen_percent: Sequence[float]) -> bool:
    """Whether to measure once more, after as many measurements as there are shares of the host."""
    return len(stolen_percent) < ATTEMPTS and min(stolen_percent, default=100.0) > STOLEN_MAX_PERCENT


def least_disturbed(measure: Callable[[], T]) -> T:
    """Measure again, ATTEMPTS times at the most, while the host takes more than STOLEN_MAX_PERCENT meanwhile."""
    tries: list[tuple[float, T]] = []
    while is_disturbed([percent for percent, _ in tries]):
        stolen = Stolen()
        found = measure()
        tries.append((stolen.percent(), found))
    return min(tries, key=lambda one: one[0])[1]


def _own_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def peak_mb(pid: int) -> float:
    """The largest resident memory that a process has had."""
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmHWM") / 1024


def resident_mb(pid: int) -> float:
    """The resident memory of a process now."""
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmRSS") / 1024


def _kilobytes(file: Path, name: str) -> int:
    for line in file.read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise Meaningless(f"{file} does not tell {name}")


def server_pid(url: str) -> int:
    """The process of a server on this machine."""
    with redis.Redis.from_url(url) as client:
        return int(client.info("server")["process_id"])


def used_memory(url: str) -> int:
    """Bytes that a server's data and buffers take, by its own account."""
    with redis.Redis.from_url(url) as client:
        return int(client.info("memory")["used_memory"])


def commands(client: redis.Redis) -> int:
    """Commands that a server has run since it started, those of scripts included."""
    return int(client.info("stats")["total_commands_processed"])


class Idle(NamedTuple):
    """What a process with nothing to do costs."""

    commands_per_s: float
    cpu_percent: float
    resident_mb: float


def idle_cost(pid: int, url: str, seconds: float) -> Idle:
    """Watch an idle process and its server for a while; our own INFO command is not counted."""
    with redis.Redis.from_url(url) as client:
        ran, began, spent = commands(client), time.monotonic(), cpu_s(pid)
        time.sleep(seconds)
        took, spent = time.monotonic() - began, cpu_s(pid) - spent
        ran = commands(client) - ran - 1
    return Idle(ran / took, spent / took * 100, resident_mb(pid))


def settle(url: str, within_s: float = SETTLE_WITHIN_S, workers: int = 1) -> float:
    """Wait until workers have started and their server has next to nothing to do (the first one repairs the index)."""
    with redis.Redis.from_url(url) as client:
        wait_until(lambda: client.scard(WORKERS) >= workers, f"{workers} workers have not started")
        began = time.monotonic()
        while time.monotonic() < began + within_s:
            before = commands(client)
            time.sleep(1.0)
            if commands(client) - before < QUIET_PER_S:
                return time.monotonic() - began - 1.0
    raise Meaningless(f"the worker did not come to rest within {within_s:g} s")
