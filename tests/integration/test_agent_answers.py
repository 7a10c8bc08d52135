"""What the agent may answer: errors about the message or not, and every form of acceptance."""

from __future__ import annotations

import pytest

from tests.integration.agent import Answer
from tests.integration.delivery import check_same, dead, deliver
from tests.integration.deployment import Deployment
from tests.integration.processes import Webhook, Worker

pytestmark = pytest.mark.usefixtures("shared_worker")


@pytest.mark.parametrize("status", [302, 401, 403, 404, 408, 409, 429, 503])
def test_what_is_not_about_the_message_is_retried(
    shared_deployment: Deployment, shared_webhook: Webhook, peer: str, status: int
) -> None:
    """A misconfigured, busy or overloaded agent gets the same call again; nothing is lost by it."""
    calls = deliver(shared_deployment, shared_webhook, peer, Answer(status), Answer())
    assert len(calls) == 2
    check_same(calls)


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_what_is_about_the_message_is_dead_at_once(
    shared_deployment: Deployment, shared_webhook: Webhook, peer: str, status: int
) -> None:
    """A refused message is kept as a dead letter after one call, and the person's later messages flow."""
    calls = deliver(shared_deployment, shared_webhook, peer, Answer(status), Answer())
    assert len(calls) == 1
    assert str(status).encode() in dead(shared_deployment, calls[0].key)[b"error"]
    shared_webhook.say(peer, "e agora?")
    shared_deployment.wait_calls(peer, 2)
    assert shared_deployment.agent.calls_of(peer)[1].texts == ["e agora?"]


def test_a_redirect_is_not_followed(shared_deployment: Deployment, shared_webhook: Webhook, peer: str) -> None:
    """Messages go to AGENT_URL and nowhere else, whatever the answer says."""
    away = Answer(307, headers={"Location": shared_deployment.agent.url.replace("/agent", "/elsewhere")})
    calls = deliver(shared_deployment, shared_webhook, peer, away, Answer())
    assert [call.path for call in calls] == ["/agent", "/agent"]


JSON_TYPE = "application/json"
ANSWERS = {
    "nothing": (Answer(204), 0),
    "empty": (Answer(200), 0),
    "reply": (Answer(200, b'{"reply": "ol\xc3\xa1"}', JSON_TYPE), 1),
    "replies": (Answer(200, b'{"replies": ["um", "dois"]}', JSON_TYPE), 2),
    "plain": (Answer(200, b"ol\xc3\xa1", "text/plain; charset=utf-8"), 1),
    "html": (Answer(200, b"<h1>It works!</h1>", "text/html"), 0),
    "other json": (Answer(201, b'{"ok": true}', JSON_TYPE), 0),
    "broken json": (Answer(200, b'{"reply": "ol', JSON_TYPE), 0),
    "huge": (Answer(200, b"x" * 3_000_000, "text/plain"), 0),
}
NOT_UNDERSTOOD = ("html", "other json", "broken json", "huge")


@pytest.mark.parametrize("name", ANSWERS)
def test_every_2xx_is_an_ack(
    shared_deployment: Deployment, shared_webhook: Webhook, shared_worker: Worker, peer: str, name: str
) -> None:
    """Whatever the body, a 2xx is not called again; replies are read, what is odd is taken as none and told."""
    answer, replies = ANSWERS[name]
    calls = deliver(shared_deployment, shared_webhook, peer, answer)
    assert len(calls) == 1
    events = [event for event in shared_worker.log_lines() if event.get("flush_id") == calls[0].key]
    assert [event["replies"] for event in events if "replies" in event] == [replies]
    odd = [event for event in events if "not understood" in event["event"]]
    assert len(odd) == (1 if name in NOT_UNDERSTOOD else 0)


def test_a_call_carries_what_was_promised(shared_deployment: Deployment, shared_webhook: Webhook, peer: str) -> None:
    """The body of a flush (docs/invariants.md#body): who, what, when, and the texts joined."""
    body = [
        {"conversation": peer, "text": "oi", "message_id": "m1", "sender_name": "Ana", "channel": "loja"},
        {"conversation": peer, "text": "tudo bem?", "message_id": "m2", "timestamp_ms": 99, "channel": "loja"},
    ]
    assert shared_webhook.post(body).json() == {"accepted": 2, "duplicates": 0, "ignored": 0}
    shared_deployment.wait_calls(peer)
    (call,) = shared_deployment.agent.calls_of(peer)
    assert call.headers["Content-Type"] == "application/json"
    content = call.content
    assert content["flush_id"] == call.key
    assert content["conversation"] == {"gateway": "generic", "channel": "loja", "id": peer, "name": "Ana"}
    assert content["reason"] == "quiet"
    assert sorted(content["text"].split("\n")) == ["oi", "tudo bem?"]
    assert content["opened_ms"] <= content["last_ms"] < content["closed_ms"]
