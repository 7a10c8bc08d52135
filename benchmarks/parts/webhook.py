"""Requests per second of one webhook process on one core, beside other applications in the same run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

from benchmarks.figures import Figure, Meaningless, Missing, attempt
from benchmarks.machine import MEASURED_CORE, OTHER_CORE, free_port, output, process, python, valkey, wait_for_port
from benchmarks.peers import node
from benchmarks.table import Row
from benchmarks.usage import server_pid

SECONDS = 2.5
ROUNDS = 3
UVICORN = ("--log-level", "warning", "--no-access-log", "--loop", "uvloop", "--http")
SHORT_WAY = "webhook.fast_path:FastPathProtocol"
"""As `debouncer serve` runs it."""

WHAT = "webhook, Evolution text, 64 connections (requests/s)"


class Run(NamedTuple):
    """One run of the load: requests/s, and the application's CPU per request (microseconds)."""

    per_s: float
    app_us: float


Command = Callable[[int], list[str]]


def uvicorn(app: str, protocol: str = "httptools") -> Command:
    """An ASGI application in one uvicorn process."""
    return lambda port: python("uvicorn", app, "--port", port, *UVICORN, protocol)


APPS: dict[str, Command] = {
    "ours": uvicorn("webhook.main:app", SHORT_WAY),
    "plain": uvicorn("webhook.main:app"),
    "empty": uvicorn("benchmarks.programs.apps:empty"),
    "evalsha": uvicorn("benchmarks.programs.apps:evalsha"),
    "bullmq": lambda port: node("webhook.mjs", port),
}


def measure() -> Iterator[Row]:
    """The best of some rounds each, the applications in turn, so that a noisy moment hits all of them."""
    best = best_of(APPS)
    ours = _figure(best["ours"], "per_s")
    yield Row(WHAT, ours, "empty FastAPI endpoint that parses the body", _figure(best["empty"], "per_s"))
    yield Row(WHAT, ours, "FastAPI with one EVALSHA per request", _figure(best["evalsha"], "per_s"))
    yield Row(WHAT, ours, "Fastify + BullMQ, one debounced `add` per request", _figure(best["bullmq"], "per_s"))
    yield Row(WHAT, ours, "the same as a plain ASGI application", _figure(best["plain"], "per_s"))
    what, ours_us = "the same: CPU of the process per request (us)", _figure(best["ours"], "app_us")
    yield Row(what, ours_us, "empty FastAPI endpoint", _figure(best["empty"], "app_us"), less=True)
    yield Row(what, ours_us, "Fastify + BullMQ", _figure(best["bullmq"], "app_us"), less=True)


def best_of(apps: dict[str, Command], rounds: int = ROUNDS) -> dict[str, Run | Missing]:
    """The fastest run of each application, or why there is none."""
    best: dict[str, Run | Missing] = {}
    for _ in range(rounds):
        for name, command in apps.items():
            run, known = attempt(lambda command=command: _run_alone(command)), best.get(name)  # type: ignore[misc]
            if not isinstance(known, Run) or (isinstance(run, Run) and run > known):
                best[name] = run
    return best


def _run_alone(command: Command) -> Run:
    with valkey() as url:
        return run(command, url)


def run(command: Command, url: str, **environment: str) -> Run:
    """Load one application; raises Meaningless when it refused a request."""
    port = free_port()
    settings = {"REDIS_URL": url, "EVOLUTION_TOKEN": "t", "LOG_LEVEL": "WARNING", **environment}
    with process(command(port), MEASURED_CORE, **settings) as app:
        wait_for_port(port)
        load = python("benchmarks.programs.load", port, SECONDS, app.pid, server_pid(url))
        told = json.loads(output(load, OTHER_CORE, SECONDS + 30))
    if told["refused"]:
        raise Meaningless(f"{told['refused']} webhooks were refused")
    return Run(told["per_s"], told["app_us"])


def _figure(found: Run | Missing, name: str) -> Figure:
    return found if isinstance(found, Missing) else float(getattr(found, name))
