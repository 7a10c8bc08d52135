"""One message to an agent that answers as told, and what must be true of its calls."""

from __future__ import annotations

import itertools

from tests.integration.agent import Answer, Call
from tests.integration.deployment import Deployment
from tests.integration.processes import Webhook


def gaps_ms(calls: list[Call]) -> list[float]:
    """The time between a call and the next, in milliseconds."""
    return [after.arrived_ms - before.arrived_ms for before, after in itertools.pairwise(calls)]


def check_same(calls: list[Call]) -> None:
    """All attempts of one flush: one key, one body, numbered from 1."""
    assert len({call.key for call in calls}) == 1
    assert len({call.body for call in calls}) == 1
    assert [call.attempt for call in calls] == list(range(1, len(calls) + 1))


def deliver(deployment: Deployment, webhook: Webhook, peer: str, *answers: Answer) -> list[Call]:
    """Say one message to an agent that answers so; returns its calls when all is over."""
    deployment.agent.answer(peer, *answers)
    assert webhook.say(peer, "oi").status_code == 200
    deployment.wait_calls(peer)
    deployment.wait_drained()
    return deployment.agent.calls_of(peer)


def dead(deployment: Deployment, flush_id: str) -> dict[bytes, bytes]:
    """The dead letter of a flush, empty when there is none."""
    return deployment.redis.hgetall(f"deb:{{p0}}:letter:{flush_id}")
