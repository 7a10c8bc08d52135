"""MESSAGE_BUFFER_TIMEOUT=auto over real processes: a channel's window, a damaged histogram, a Redis that forgets."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pytest

from buffer.auto_windows import FIELDS, AutoWindows
from buffer.habits import HABITS_SIZE
from buffer.insight_models import FlushRecord
from buffer.insights import Insights
from buffer.keys import ref_of
from buffer.window_policy import explores
from buffer.windows import window_text
from tests.integration.deployment import Deployment, person
from tests.integration.polling import until
from tests.integration.processes import Webhook

CHANNEL = ("generic", "default")
QUICK = [0, 0, 200, 300, 200, 50, *[0] * 17, 0]
"""Gaps of people who go on within a second: few turns are cut by the shortest window."""

TURNS = 400
SHORTEST_S, LONGEST_S = 1.0, 4.0
NEXT_ROUND_S = 60.0
"""The workers write every 30 s, and the webhook reads every 10 s."""


def quiet(number: int) -> str:
    """Return a person who does not explore in any hour near now."""
    hour = int(time.time() // 3600)
    names = (f"p{number}-{i}" for i in range(100))
    return next(one for one in names if not any(explores(":".join((*CHANNEL, one)), hour + add) for add in (0, 1)))


def count(deployment: Deployment, gaps: Sequence[object], turns: int = TURNS) -> None:
    """Write what the channel has counted."""
    deployment.redis.sadd("deb:{p0}:channels", ":".join(CHANNEL))
    fields = {name: str(value) for name, value in zip(FIELDS, (turns, *gaps), strict=False)}
    deployment.redis.hset("deb:{p0}:tally:" + ":".join(CHANNEL), mapping=fields)


def in_force(deployment: Deployment) -> str:
    """Return why the channel has the window that is noted in Redis, '' without one."""
    found = deployment.ask(lambda store: AutoWindows(store).read())
    return found[CHANNEL].why if CHANNEL in found else ""


def flushed(deployment: Deployment, webhook: Webhook, peer: str) -> FlushRecord:
    """Post a message of a person, and return the record of its flush."""
    assert webhook.say(peer, "oi").status_code == 200
    deployment.wait_calls(peer)
    deployment.wait_drained()
    page = deployment.ask(lambda store: Insights(store).flushes(100))
    return next(record for record in page.items if record.conversation == person(peer))


@pytest.fixture
def auto(start_deployment: Callable[..., Deployment]) -> Deployment:
    """Return a deployment whose channels find their own windows."""
    return start_deployment(message_buffer_timeout="auto", auto_min=SHORTEST_S, auto_max=LONGEST_S)


def test_a_channel_finds_its_window(auto: Deployment) -> None:
    """With turns enough it is that of its gaps, and the history says so. The person's habits are noted."""
    count(auto, QUICK)
    worker = auto.worker()
    until("the worker has noted a window", lambda: in_force(auto) == "auto_channel")
    record = flushed(auto, auto.webhook(), peer := quiet(1))
    assert record.window_why == "auto_channel"
    assert record.window_ms is not None
    assert SHORTEST_S * 1000 <= record.window_ms < LONGEST_S * 1000
    assert window_text(record) == f"auto {round(record.window_ms / 1000, 1):g} s: channel"
    assert len(auto.redis.hget(f"deb:{{p0}}:conv:{ref_of(person(peer), 1).hash}", "habits")) == HABITS_SIZE
    assert worker.alive


def test_a_damaged_histogram_means_the_start(auto: Deployment) -> None:
    """The fixed window holds, and the worker says it once."""
    count(auto, ["malformed", *QUICK[1:]])
    worker = auto.worker()
    until("the worker has noted a window", lambda: in_force(auto) == "auto_broken")
    record = flushed(auto, auto.webhook(), quiet(2))
    assert (record.window_ms, record.window_why) == (int(LONGEST_S * 1000), "auto_broken")
    assert worker.log.count("the gaps of a channel cannot be read") == 1


def test_redis_forgets_the_windows(auto: Deployment) -> None:
    """The webhook keeps what it knew, a new one starts with the start window, and the worker notes them again."""
    count(auto, QUICK)
    auto.worker()
    until("the worker has noted a window", lambda: in_force(auto) == "auto_channel")
    webhook = auto.webhook()
    known = flushed(auto, webhook, quiet(3))
    auto.redis.delete("deb:{p0}:windows")
    assert flushed(auto, webhook, quiet(4)).window_ms == known.window_ms
    until("the worker has noted it again", lambda: in_force(auto) == "auto_channel", NEXT_ROUND_S)
