"""What the webhook takes and refuses: duplicates, odd texts, broken bodies. What it takes arrives unchanged."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.agent import Answer
from tests.integration.checker import Rules, judge
from tests.integration.deployment import Deployment
from tests.integration.processes import Webhook
from tests.integration.sender import Said, Sender

worker = pytest.mark.usefixtures("shared_worker")

NEW = {"accepted": 1, "duplicates": 0, "ignored": 0}
KNOWN = {"accepted": 0, "duplicates": 1, "ignored": 0}

TEXTS = {
    "quotes": 'she said "oi" and it\'s \'fine\' \\ \\\\ `$(x)` {"a": 1} %s {}',
    "control": "a\x00b\x01\x07\x08\x1b[31m\x7f\x9f\r\n\t\x0b",
    "unicode": "olá 👋🏽 👨‍👩‍👧 \u2028\u2029 \ufeff مرحبا 你好 a\u0301 \U0010ffff",
    "spaces": "  before and after \n\n",
    "megabyte": "çã" * 262_144,
    "lua": "]] --[[ redis.call('FLUSHALL') \x00 ${x} \r\n*1\r\n$8\r\nFLUSHALL\r\n",
}


@worker
def test_the_same_id_again_is_no_news(shared_deployment: Deployment, shared_webhook: Webhook, peer: str) -> None:
    """A duplicate is answered 2xx, stored once, and does not move the deadline; nor does it after the delivery."""
    assert shared_webhook.say(peer, "oi", message_id="m1").json() == NEW
    before = shared_deployment.conversation(peer)["deadline_ms"]
    assert shared_webhook.say(peer, "oi", message_id="m1").json() == KNOWN
    assert shared_deployment.conversation(peer).get("deadline_ms", before) == before
    shared_deployment.wait_calls(peer)
    shared_deployment.wait_drained()
    assert shared_webhook.say(peer, "oi", message_id="m1").json() == KNOWN
    assert shared_deployment.pending() == 0
    assert [call.ids for call in shared_deployment.agent.calls_of(peer)] == [["m1"]]


@worker
def test_the_same_text_again_is_a_message(shared_deployment: Deployment, shared_webhook: Webhook, peer: str) -> None:
    """Only ids are compared: "ok", "ok" are two messages, with ids or without."""
    for fields in ({"message_id": "m1"}, {"message_id": "m2"}, {}, {}):
        assert shared_webhook.say(peer, "ok", **fields).json() == NEW
    shared_deployment.wait_drained()
    assert [text for call in shared_deployment.agent.calls_of(peer) for text in call.texts] == ["ok"] * 4


@worker
@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("escaped", [True, False], ids=["escaped", "raw"])
def test_a_text_arrives_unchanged(
    shared_deployment: Deployment, shared_webhook: Webhook, peer: str, name: str, escaped: bool
) -> None:
    """Quotes, control characters, any script, a megabyte: the agent reads what the person wrote."""
    text = TEXTS[name]
    body = json.dumps({"conversation": peer, "text": text, "message_id": "m1"}, ensure_ascii=escaped)
    assert shared_webhook.post(body.encode()).json() == NEW
    shared_deployment.wait_calls(peer)
    (call,) = shared_deployment.agent.calls_of(peer)
    assert call.texts == [text]
    assert call.content["text"] == text


BROKEN = {
    "invalid UTF-8": b'{"conversation": "PEER", "text": "ol\xff\xfe"}',
    "half a body": b'{"conversation": "PEER", "te',
    "empty": b"",
    "not JSON": b"conversation=PEER&text=oi",
    "a number": b"42",
    "no conversation": b'{"text": "oi"}',
    "a text that is none": b'{"conversation": "PEER", "text": 5}',
    "one bad of two": b'[{"conversation": "PEER", "text": "oi"}, {"conversation": "PEER"}]',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_body_is_refused_with_a_reason(
    shared_deployment: Deployment, shared_webhook: Webhook, peer: str, name: str
) -> None:
    """400 and a sentence, never a 500; nothing of the request is stored."""
    response = shared_webhook.post(BROKEN[name].replace(b"PEER", peer.encode()))
    assert response.status_code == 400
    assert response.json()["error"] == "bad_request"
    assert len(response.json()["detail"]) > 10
    assert shared_deployment.conversation(peer) == {}


@pytest.mark.parametrize("token", ["", "Bearer wrong", "Bearer"])
def test_a_wrong_token_is_refused(
    shared_deployment: Deployment, shared_webhook: Webhook, peer: str, token: str
) -> None:
    """401 before anything of the body is stored."""
    body = json.dumps({"conversation": peer, "text": "oi"})
    response = shared_webhook.client.post(shared_webhook.url, content=body, headers={"Authorization": token})
    assert response.status_code == 401
    assert shared_deployment.conversation(peer) == {}


def test_a_body_over_the_limit_is_refused(start_deployment: Callable[..., Deployment], peer: str) -> None:
    """Above WEBHOOK_MAX_BODY: 413, with and without a Content-Length."""
    webhook = start_deployment().webhook(webhook_max_body=2000)
    body = json.dumps({"conversation": peer, "text": "x" * 2000}).encode()
    assert webhook.post(body).status_code == 413
    parts = (part for part in (body[:1000], body[1000:]))
    assert webhook.client.post(webhook.url, content=parts).status_code == 413
    assert webhook.say(peer, "x" * 1500).status_code == 200


def test_a_first_message_on_many_processes_opens_one_window(
    start_deployment: Callable[..., Deployment], peer: str
) -> None:
    """Sixteen posts at the same instant to four processes: one burst, one call, all sixteen in it."""
    deployment = start_deployment(message_buffer_timeout=3.0)
    webhook = deployment.webhook(4)
    deployment.worker()
    with ThreadPoolExecutor(16) as pool:
        posts = [pool.submit(webhook.say, peer, "oi", message_id=str(number)) for number in range(16)]
    assert [post.result().json() for post in posts] == [NEW] * 16
    deployment.wait_drained()
    (call,) = deployment.agent.calls
    assert sorted(call.ids, key=int) == [str(number) for number in range(16)]


def test_a_torrent_of_one_person_is_taken(start_deployment: Callable[..., Deployment], peer: str) -> None:
    """Two hundred messages a second of one person: no error, batches up to the cap, one call at a time, in order."""
    deployment = start_deployment()
    deployment.agent.default = Answer(delay_s=0.05)
    webhook = deployment.webhook(2)
    deployment.worker()
    sender = Sender(webhook)
    sender.play(Said(number / 200, peer, f"{number:04d}") for number in range(1000))
    deployment.wait_drained()
    verdict = judge(sender.sent, deployment.agent.calls, Rules())
    assert verdict.problems == []
    assert dict(sender.statuses) == {200: 1000}
    assert max(len(call.ids) for call in deployment.agent.calls) == 20
