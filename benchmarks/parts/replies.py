"""Measure what replies cost a worker: flushes with one part each, and 1,000 calls in flight with typing indicators."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import redis

from benchmarks.agent import running_agent
from benchmarks.figures import attempt
from benchmarks.gateway import running_gateway
from benchmarks.machine import MEASURED_CORE, process, python, valkey
from benchmarks.parts.flush import WINDOW_S, highest, rate_of
from benchmarks.parts.in_flight import CALLS, WARM_UP_FLUSHES, Held, hold_calls, memory_of, p99_of, peak_of
from benchmarks.pending import append, counter, environment, settings_for
from benchmarks.table import Row

FLUSHES = 8000
CHANNELS = 100
"""A channel sends at most REPLY_RATE parts a second, so there are enough of them not to bound the figure."""

ROUNDS = 2
REPLY = "Recebi sua mensagem."
WHAT = "flushes with one part to an instant gateway, one worker process (flushes/s)"
WITHOUT = "the same flushes without a reply"
TYPING = f"{CALLS:,} calls, the agent takes 5 s, typing indicators"


def measure() -> Iterator[Row]:
    """Compare flushes with and without a part, in turn, and calls with and without typing indicators."""
    rounds = [(attempt(lambda: _flushes(REPLY)), attempt(lambda: _flushes(""))) for _ in range(ROUNDS)]
    yield Row(WHAT, highest([one for one, _ in rounds]), WITHOUT, highest([none for _, none in rounds]))
    shown, off = attempt(_with_typing), attempt(hold_calls)
    yield Row(f"{TYPING}: most calls at once", peak_of(shown), "no indicators", peak_of(off))
    yield Row(f"{TYPING}: lateness p99 (ms)", p99_of(shown), "no indicators", p99_of(off), less=True)
    yield Row(f"{TYPING}: peak memory (MB)", memory_of(shown), "no indicators", memory_of(off), less=True)


def _flushes(reply: str) -> float:
    """Return the flushes/s of one worker whose agent answers at once, with a reply or without."""
    with valkey() as url, running_agent(reply=reply) as agent, running_gateway() as gateway:
        settings = settings_for(url, message_buffer_timeout=WINDOW_S)
        asyncio.run(append(settings, FLUSHES, channels=CHANNELS))
        variables = environment(settings, agent.url, **gateway.settings, TYPING_INDICATOR="false")
        with (
            process(python("cli", "worker"), MEASURED_CORE, **variables),
            redis.Redis.from_url(url) as client,
        ):
            rate = rate_of(lambda: counter(client, settings, "acked"), FLUSHES)
        agent.report(FLUSHES)
        gateway.check(messages=FLUSHES if reply else 0, typings=0)
    return rate


def _with_typing() -> Held:
    with running_gateway() as gateway:
        held = hold_calls(**gateway.settings)
        gateway.check(messages=0, typings=CALLS + WARM_UP_FLUSHES)
    return held
