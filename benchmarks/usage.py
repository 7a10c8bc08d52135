"""Measure the CPU, memory and commands of running processes and servers."""

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

RQ_WORKERS_KEY = "rq:workers"
IDLE_COMMANDS_PER_S = 60
"""A server with fewer commands a second than this counts as idle."""

STOLEN_MAX_PERCENT = 2.0
ATTEMPTS_MAX = 3
IDLE_TIMEOUT_S = 90.0


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of all living threads of a process, to the nanosecond."""
    spent = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread may end meanwhile
            spent += int((task / "schedstat").read_text().split()[0])
    return spent / 1e9


class OtherProcesses:
    """Measures the CPU that other processes take from now on. Our child processes count once they have ended."""

    def __init__(self) -> None:
        self._began, self._busy_s, self._own_s = time.monotonic(), _busy_s(), _own_s()

    def cpu_percent(self) -> float:
        """Return their share of all cores, steal time included."""
        others_s = _busy_s() - self._busy_s - (_own_s() - self._own_s)
        return max(0.0, others_s / (time.monotonic() - self._began) / (os.cpu_count() or 1) * 100)


def _busy_s() -> float:
    """Return the machine's CPU seconds since its start, without idle time and waiting for I/O."""
    ticks = _ticks()
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def _ticks() -> list[int]:
    return [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]


class StealTime:
    """Measures the CPU that the host takes from this virtual machine from now on."""

    def __init__(self) -> None:
        self._began = _ticks()

    def percent(self) -> float:
        """Return the share of all cores since the start of the measurement."""
        passed = [now - then for then, now in zip(self._began, _ticks(), strict=True)]
        return 100 * passed[7] / max(1, sum(passed))


def is_disturbed(stolen_percent: Sequence[float]) -> bool:
    """True if the measurement must be repeated. `stolen_percent` has one value for each measurement so far."""
    return len(stolen_percent) < ATTEMPTS_MAX and min(stolen_percent, default=100.0) > STOLEN_MAX_PERCENT


def least_disturbed(measure: Callable[[], T]) -> T:
    """Measure up to ATTEMPTS_MAX times, until steal time is at most STOLEN_MAX_PERCENT. Return the least disturbed."""
    tries: list[tuple[float, T]] = []
    while is_disturbed([percent for percent, _ in tries]):
        steal_time = StealTime()
        result = measure()
        tries.append((steal_time.percent(), result))
    return min(tries, key=lambda one: one[0])[1]


def _own_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def peak_mb(pid: int) -> float:
    """Return the largest resident memory of a process so far."""
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmHWM") / 1024


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process now."""
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmRSS") / 1024


def _kilobytes(file: Path, name: str) -> int:
    for line in file.read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise Meaningless(f"{file} has no line {name}")


def server_pid(url: str) -> int:
    """Return the process id of a server on this machine."""
    with redis.Redis.from_url(url) as client:
        return int(client.info("server")["process_id"])


def used_memory(url: str) -> int:
    """Return the bytes of a server's data and buffers, as it reports them."""
    with redis.Redis.from_url(url) as client:
        return int(client.info("memory")["used_memory"])


def commands(client: redis.Redis) -> int:
    """Return the number of commands that a server has run since its start, including those of scripts."""
    return int(client.info("stats")["total_commands_processed"])


class IdleCost(NamedTuple):
    """The cost of a process with nothing to do."""

    commands_per_s: float
    cpu_percent: float
    resident_mb: float


def idle_cost(pid: int, url: str, seconds: float) -> IdleCost:
    """Measure an idle process and its server for some seconds. Our own INFO command is not counted."""
    with redis.Redis.from_url(url) as client:
        ran, began, spent = commands(client), time.monotonic(), cpu_s(pid)
        time.sleep(seconds)
        took, spent = time.monotonic() - began, cpu_s(pid) - spent
        ran = commands(client) - ran - 1
    return IdleCost(ran / took, spent / took * 100, resident_mb(pid))


def wait_until_idle(url: str, within_s: float = IDLE_TIMEOUT_S, workers: int = 1) -> float:
    """Wait until the workers have started and their server is idle. Return the seconds between the two.

    The first worker repairs the wake index at its start. Raises Meaningless after `within_s`.
    """
    with redis.Redis.from_url(url) as client:
        wait_until(lambda: client.scard(RQ_WORKERS_KEY) >= workers, f"{workers} workers have not started")
        began = time.monotonic()
        while time.monotonic() < began + within_s:
            before = commands(client)
            time.sleep(1.0)
            if commands(client) - before < IDLE_COMMANDS_PER_S:
                return time.monotonic() - began - 1.0
    raise Meaningless(f"the worker was not idle within {within_s:g} s")
