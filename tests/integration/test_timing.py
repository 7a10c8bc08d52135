"""When a burst ends: the window, the longest wait, the size cap, typing, and the order of what it holds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.integration.agent import Call, RecordingAgent
from tests.integration.checker import Rules, Verdict, judge
from tests.integration.deployment import Deployment, person
from tests.integration.processes import ROOT, TOKEN, Webhook
from tests.integration.sender import Said, Sender
from tests.servers import Server

WINDOW_S = 1.0
TURNS = 5
TOLERANCE_MS = 200
FIXTURES = ROOT / "tests" / "fixtures" / "evolution"


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, shared_agent: RecordingAgent) -> Iterator[Deployment]:
    """A deployment with a window of one second, and somebody whose burst ends in an hour."""
    server = Server("valkey", tmp_path_factory.mktemp("server"), {})
    settings = {"message_buffer_timeout": WINDOW_S, "message_buffer_max_wait": 3.0, "typing_grace": 0.1}
    deployment = Deployment(tmp_path_factory.mktemp("deployment"), server, shared_agent, **settings)
    deployment.worker()
    yield deployment
    deployment.close()
    server.stop()


@pytest.fixture(scope="module")
def webhook(deployment: Deployment) -> Webhook:
    """The webhook of the deployment: two uvicorn workers."""
    return deployment.webhook(2)


@pytest.fixture
def play(deployment: Deployment, webhook: Webhook, report: Callable[[Verdict], None]) -> Callable[..., list[Call]]:
    """Say things at given times and wait for the calls; nothing may be lost, early, or out of order."""

    def once(peer: str, at_s: Sequence[float], left: int) -> list[Call]:
        sender = Sender(webhook)
        sender.play(Said(when, peer, f"{peer}-{index}") for index, when in enumerate(at_s))
        deployment.wait_drained(left)
        calls = deployment.agent.calls_of(peer)
        verdict = judge(sender.sent, calls, Rules(window_ms=1000, max_wait_ms=3000))
        report(verdict)
        assert verdict.problems == []
        return calls

    def run(peer: str, *at_s: float, left: int = 0) -> list[Call]:
        for turn in range(TURNS):
            calls = once(f"{peer}-{turn}", at_s, left)
            if as_planned(calls, at_s):
                return calls
        pytest.fail(f"{TURNS} times this machine was too busy to post the messages when they were due")

    return run


def as_planned(calls: list[Call], at_s: Sequence[float]) -> bool:
    """Whether Redis received the messages about when they were to be said: else it was another conversation."""
    received = [message["received_ms"] for call in calls for message in call.content["messages"]]
    return all(abs(ms - received[0] - 1000 * s) < TOLERANCE_MS for ms, s in zip(received, at_s, strict=True))


def sizes(calls: list[Call]) -> list[int]:
    """How many messages each call holds."""
    return [len(call.ids) for call in calls]


def test_one_message_is_one_call(play: Callable[..., list[Call]], peer: str) -> None:
    """A single message is called after its window, once."""
    assert sizes(play(peer, 0)) == [1]


def test_a_burst_is_one_call(play: Callable[..., list[Call]], peer: str) -> None:
    """Ten messages a tenth of the window apart are one call with all ten, in order."""
    assert sizes(play(peer, *(index * WINDOW_S / 10 for index in range(10)))) == [10]


def test_a_message_starts_the_window_again(play: Callable[..., list[Call]], peer: str) -> None:
    """A message at 0.6 of the window moves the end to 1.6 windows."""
    (call,) = play(peer, 0, 0.6 * WINDOW_S)
    assert call.content["closed_ms"] >= call.content["last_ms"] + 1000
    assert call.content["last_ms"] >= call.content["opened_ms"] + 500


def test_a_pause_splits_bursts(play: Callable[..., list[Call]], peer: str) -> None:
    """Half a window, two windows, half a window: two calls of two messages."""
    assert sizes(play(peer, 0, 0.5 * WINDOW_S, 2.5 * WINDOW_S, 3.0 * WINDOW_S)) == [2, 2]


def test_somebody_who_never_pauses_is_heard(play: Callable[..., list[Call]], peer: str) -> None:
    """A message every 0.4 windows without end: a call at the longest wait, and the stream goes on.

    No message is due near the longest wait (3 windows), and the last pause ends well before the longest wait of the
    second conversation (6 windows at the least).
    """
    calls = play(peer, *(index * 0.4 * WINDOW_S for index in range(12)))
    assert [call.content["reason"] for call in calls] == ["max_wait", "quiet"]
    assert calls[0].content["closed_ms"] >= calls[0].content["opened_ms"] + 3000


def test_fifty_people_do_not_mix(
    deployment: Deployment, webhook: Webhook, peer: str, report: Callable[[Verdict], None]
) -> None:
    """Fifty interleaved bursts are fifty calls, each with its own person's messages."""
    sender = Sender(webhook)
    people = [f"{peer}-{number}" for number in range(50)]
    sender.play(Said(0.1 * turn, one, f"{one}-{turn}") for turn in range(3) for one in people)
    deployment.wait_drained()
    calls = [call for one in people for call in deployment.agent.calls_of(one)]
    verdict = judge(sender.sent, calls, Rules(window_ms=1000, max_wait_ms=3000))
    report(verdict)
    assert verdict.problems == []
    assert verdict.one_for_each(50)


def test_a_nearer_deadline_is_met_while_a_far_one_is_awaited(
    deployment: Deployment, play: Callable[..., list[Call]], peer: str
) -> None:
    """The dispatcher that waits for somebody's far deadline still serves the next person in time."""
    far = person(f"{peer}-far")
    deployment.ask(lambda store: store.pause(far, 3_600_000))
    assert sizes(play(peer, 0, left=1)) == [1]
    assert deployment.ask(lambda store: store.resume(far))
    deployment.wait_drained()


def test_messages_are_ordered_by_the_time_they_were_written(
    deployment: Deployment, webhook: Webhook, peer: str
) -> None:
    """Timestamps of the gateway decide; equal ones keep the order of arrival."""
    now_ms = int(time.time() * 1000)
    written = {"third": now_ms, "first": now_ms - 2000, "second": now_ms - 1000, "fourth": now_ms}
    body = [{"conversation": peer, "text": name, "timestamp_ms": ms} for name, ms in written.items()]
    assert webhook.post(body).json()["accepted"] == 4
    deployment.wait_calls(peer)
    (call,) = deployment.agent.calls_of(peer)
    assert call.texts == ["first", "second", "third", "fourth"]


def test_a_full_burst_goes_at_once_and_the_rest_is_a_new_one(
    deployment: Deployment, webhook: Webhook, peer: str
) -> None:
    """25 messages in one request: a call with exactly 20 before any window, then one with the other 5."""
    body = [{"conversation": peer, "text": str(index), "message_id": str(index)} for index in range(25)]
    assert webhook.post(body).json()["accepted"] == 25
    deployment.wait_calls(peer, 2)
    deployment.wait_drained()
    calls = deployment.agent.calls_of(peer)
    assert [call.content["reason"] for call in calls] == ["max_messages", "quiet"]
    assert [call.texts for call in calls] == [[str(n) for n in range(20)], [str(n) for n in range(20, 25)]]


def _presence(peer: str, state: str = "composing") -> bytes:
    event = json.loads((FIXTURES / "presence_composing.json").read_text())
    jid = f"{peer}@s.whatsapp.net"
    event["data"] = {"id": jid, "presences": {jid: {"lastKnownPresence": state}}}
    return json.dumps(event).encode()


def _text(peer: str, message_id: str) -> bytes:
    event = json.loads((FIXTURES / "text_conversation_v22.json").read_text())
    event["data"]["key"] |= {"remoteJid": f"{peer}@s.whatsapp.net", "id": message_id}
    return json.dumps(event).encode()


def _evolution(webhook: Webhook, body: bytes) -> dict[str, int]:
    url = webhook.url.replace("generic", "evolution") + f"?token={TOKEN}"
    response = webhook.client.post(url, content=body)
    assert response.status_code == 200, response.text
    return response.json()


def _signals(deployment: Deployment, webhook: Webhook, *states: str) -> Call:
    """Say something, then post typing events, each of which must find the burst open. Return the call."""
    moved = {"accepted": 1, "duplicates": 0, "ignored": 0}
    for _ in range(TURNS):
        peer = f"55119{time.time_ns() % 10**8:08d}"
        assert _evolution(webhook, _text(peer, "m1"))["accepted"] == 1
        time.sleep(0.4 * WINDOW_S)
        if [_evolution(webhook, _presence(peer, state)) for state in states] == [moved] * len(states):
            deployment.wait_calls(peer)
            (call,) = deployment.agent.calls_of(peer)
            assert call.ids == ["m1"]
            return call
    pytest.fail(f"{TURNS} times the burst was over before this machine could post the typing events")


def test_typing_holds_the_burst(deployment: Deployment, webhook: Webhook) -> None:
    """A person who types is waited for, here until the longest wait; a typing event is no message."""
    call = _signals(deployment, webhook, "composing")
    assert call.content["reason"] == "max_wait"
    assert call.content["closed_ms"] - call.content["opened_ms"] == 3_000


def test_the_end_of_typing_lets_it_go(deployment: Deployment, webhook: Webhook) -> None:
    """A person who stops is not waited for any longer, but for the window of their last message."""
    call = _signals(deployment, webhook, "recording", "available")
    assert call.content["reason"] == "quiet"
    assert WINDOW_S * 1000 <= call.content["closed_ms"] - call.content["opened_ms"] < 3_000


def test_a_window_for_those_whose_typing_is_seen(
    shared_agent: RecordingAgent, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With MESSAGE_BUFFER_TIMEOUT_TYPING a message after a typing event has the shorter window."""
    server = Server("valkey", tmp_path_factory.mktemp("server"), {})
    settings = {"message_buffer_timeout": 15.0, "message_buffer_timeout_typing": 0.5, "typing_hold": 0}
    deployment = Deployment(tmp_path_factory.mktemp("deployment"), server, shared_agent, **settings)
    try:
        deployment.worker()
        webhook = deployment.webhook(1)
        peer = f"55119{time.time_ns() % 10**8:08d}"
        _evolution(webhook, _text(peer, "m1"))
        assert deployment.pending() == 1
        _evolution(webhook, _presence(peer, "available"))
        _evolution(webhook, _text(peer, "m2"))
        deployment.wait_calls(peer)
        (call,) = deployment.agent.calls_of(peer)
        assert call.ids == ["m1", "m2"]
        assert call.content["closed_ms"] - call.content["last_ms"] == 500
    finally:
        deployment.close()
        server.stop()


@pytest.mark.parametrize("state", ["composing", "recording", "paused"])
def test_typing_alone_is_nothing(deployment: Deployment, webhook: Webhook, state: str) -> None:
    """Without an open burst a presence opens nothing and calls nobody."""
    peer = f"55119{time.time_ns() % 10**8:08d}"
    assert _evolution(webhook, _presence(peer, state)) == {"accepted": 0, "duplicates": 0, "ignored": 1}
    assert deployment.pending() == 0
