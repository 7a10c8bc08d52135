"""Requests per second of one webhook process on one core, beside FastAPI applications in the same run."""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks.machine import LOAD_CORE, SERVER_CORE, free_port, process, wait_for_port
from benchmarks.table import Row

SECONDS = 5.0
ROUNDS = 3
UVICORN = ["--log-level", "warning", "--no-access-log", "--loop", "uvloop", "--http", "httptools"]


def measure(url: str) -> list[Row]:
    """The best of some rounds each, the applications in turn, so that a noisy moment hits all of them."""
    apps = {
        "ours": "webhook.main:app",
        "empty": "benchmarks.baselines:empty",
        "evalsha": "benchmarks.baselines:evalsha",
    }
    best = dict.fromkeys(apps, 0.0)
    for _ in range(ROUNDS):
        for name, app in apps.items():
            best[name] = max(best[name], _requests_per_second(app, url))
    what = "webhook, Evolution text, 64 connections (requests/s)"
    return [
        Row(what, best["ours"], "empty FastAPI endpoint that parses the body", best["empty"]),
        Row(what, best["ours"], "FastAPI with one EVALSHA per request", best["evalsha"]),
    ]


def _requests_per_second(app: str, url: str) -> float:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", app, "--port", str(port), *UVICORN]
    with process(command, SERVER_CORE, REDIS_URL=url, EVOLUTION_TOKEN="t", LOG_LEVEL="WARNING"):
        wait_for_port(port)
        load = [sys.executable, "-m", "benchmarks.load", str(port), str(SECONDS)]
        done = subprocess.run(
            load, stdout=subprocess.PIPE, check=True, preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CORE})
        )
    rate, refused = done.stdout.split()
    if int(refused):
        raise RuntimeError(f"{app} refused {refused.decode()} requests: the figure would mean nothing")
    return float(rate)
