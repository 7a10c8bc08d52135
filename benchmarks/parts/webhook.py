"""Measure requests per second of one webhook process on one core, beside other applications."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

from benchmarks.figures import Figure, Meaningless, Missing, attempt
from benchmarks.machine import MEASURED_CORE, OTHER_CORE, free_port, output, process, python, valkey, wait_for_port
from benchmarks.peers import node
from benchmarks.table import Row
from benchmarks.usage import server_pid

LOAD_S = 2.5
ROUNDS = 3
UVICORN = ("--log-level", "warning", "--no-access-log", "--loop", "uvloop", "--http")
FAST_PATH = "webhook.fast_path:FastPathProtocol"
"""The HTTP protocol that `debouncer serve` uses."""

WHAT = "webhook, Evolution text, 64 connections (requests/s)"


class Run(NamedTuple):
    """One run of the load: requests/s, and the CPU of the application per request (us)."""

    per_s: float
    app_us: float


Command = Callable[[int], list[str]]


def uvicorn(app: str, protocol: str = "httptools") -> Command:
    """Return the command for an ASGI application in one uvicorn process."""
    return lambda port: python("uvicorn", app, "--port", port, *UVICORN, protocol)


APPS: dict[str, Command] = {
    "ours": uvicorn("webhook.main:app", FAST_PATH),
    "plain": uvicorn("webhook.main:app"),
    "empty": uvicorn("benchmarks.programs.apps:empty"),
    "evalsha": uvicorn("benchmarks.programs.apps:evalsha"),
    "bullmq": lambda port: node("webhook.mjs", port),
}


def measure() -> Iterator[Row]:
    """Compare the best rounds. The applications run in turn, so that noise affects all of them."""
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
    """Return the fastest run of each application, or the reason for none."""
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
    """Run the load on one application. Raises Meaningless if it refused a request."""
    port = free_port()
    settings = {"REDIS_URL": url, "EVOLUTION_TOKEN": "t", "LOG_LEVEL": "WARNING", **environment}
    with process(command(port), MEASURED_CORE, **settings) as app:
        wait_for_port(port)
        return run_load(port, app.pid, url)


def run_load(port: int, pid: int, url: str) -> Run:
    """Run the load on an application that listens. Raises Meaningless if it refused a request."""
    load = python("benchmarks.programs.load", port, LOAD_S, pid, server_pid(url))
    result = json.loads(output(load, OTHER_CORE, LOAD_S + 30))
    if result["refused"]:
        raise Meaningless(f"{result['refused']} webhooks were refused")
    return Run(result["per_s"], result["app_us"])


def _figure(found: Run | Missing, name: str) -> Figure:
    return found if isinstance(found, Missing) else float(getattr(found, name))
