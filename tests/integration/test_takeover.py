"""A human's word ends the bot's, at every moment of a burst's life; what the bot sends itself never does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.gateway_stubs.base import Fault
from tests.gateway_stubs.evolution import EvolutionStub
from tests.integration.agent import Answer
from tests.integration.deployment import Deployment
from tests.integration.polling import until
from tests.integration.processes import TOKEN
from tests.integration.reply_line import INSTANCE, SENDS, ReplyLine, replying

ANA = "5511900000021"
BIA = "5511900000022"
TWO = ("one", "two")


@pytest.fixture
def stub() -> Iterator[EvolutionStub]:
    one = EvolutionStub()
    one.open()
    yield one
    one.close()


@pytest.fixture
def line(stub: EvolutionStub, start_deployment: Callable[..., Deployment]) -> Callable[..., ReplyLine]:
    """Start a deployment that sends its replies to the stub, and gets the stub's echoes."""

    def start(**settings: object) -> ReplyLine:
        return ReplyLine(start_deployment(**{**SENDS, "evolution_url": stub.url, **settings}), stub)

    return start


def post_own(way: ReplyLine, person: str, text: str, *, event: str = "messages.upsert", age_s: int = 0) -> None:
    """Post a message from our own number: typed on the phone, or (`send.message`) sent through Evolution's API."""
    data = {
        "key": {"remoteJid": f"{person}@s.whatsapp.net", "fromMe": True, "id": f"3EB0{time.time_ns():018X}"},
        "message": {"conversation": text},
        "messageType": "conversation",
        "messageTimestamp": int(time.time()) - age_s,
    }
    post(way, {"event": event, "instance": INSTANCE, "data": data})


def post(way: ReplyLine, body: object) -> None:
    """Post a webhook as Evolution does."""
    url, headers = f"http://127.0.0.1:{way.webhook.port}/webhooks/evolution", {"Authorization": f"Bearer {TOKEN}"}
    answer = httpx.post(url, json=body, headers=headers, timeout=30.0)
    assert answer.status_code == 200, answer.text


def is_paused(way: ReplyLine, person: str) -> bool:
    """Return True if the conversation waits for the end of a pause."""
    rows = way.deployment.snapshot()["conversations"]
    return any(row.get("peer") == person and "paused_until_ms" in row for row in rows)


def test_while_the_burst_is_open(line):
    """The burst is discarded with a record, and what the person writes later reaches no agent."""
    way = line(message_buffer_timeout=5)
    way.deployment.worker()
    way.say(ANA, "oi")
    post_own(way, ANA, "deixa comigo")
    way.say(ANA, "obrigada")
    way.deployment.agent.answer(BIA, replying("one"))
    way.say(BIA, "oi")
    way.wait_heard(BIA, ["one"])
    assert way.calls_of(ANA) == []
    assert way.hears(ANA) == []
    assert way.counters()["takeovers"] == 1
    assert is_paused(way, ANA)


def test_while_the_agent_thinks(line):
    """Nothing of its answer leaves."""
    way = line()
    way.deployment.agent.answer(ANA, Answer(200, replying(*TWO).body, "application/json", delay_s=2.0))
    way.deployment.worker()
    way.say(ANA, "oi")
    until("the agent is called", lambda: way.calls_of(ANA))
    post_own(way, ANA, "deixa comigo")
    until("the batch is discarded", lambda: way.counters()["messages_discarded"] >= 1)
    assert way.hears(ANA) == []


def test_between_two_parts(line):
    """The first part was sent, and the second never is."""
    way = line(reply_typing_cps=1)
    way.deployment.agent.answer(ANA, replying("1", "second part"))
    way.deployment.worker()
    way.say(ANA, "oi")
    way.wait_heard(ANA, ["1"])
    post_own(way, ANA, "deixa comigo")
    until("the rest is discarded", lambda: way.counters()["messages_discarded"] >= 1)
    post_own(way, ANA, "#bot")
    way.deployment.agent.answer(ANA, replying("9"))
    way.say(ANA, "e agora?")
    way.wait_heard(ANA, ["1", "9"])


@pytest.mark.parametrize("takes_own_ids", [True, False])
def test_the_bots_own_messages_pause_nothing(line, stub, takes_own_ids):
    """Not with an echo before the answer, instead of it, or twice, whoever makes the id."""
    stub.takes_own_ids = takes_own_ids
    stub.faults = {1: Fault("echo_first"), 2: Fault("echo_only"), 3: Fault("echo_twice")}
    way = line(takeover_from="any")
    stub.echo_to = lambda body: post(way, body)
    way.deployment.agent.answer(ANA, replying("one", "two", "three"))
    way.deployment.worker()
    way.say(ANA, "oi")
    way.wait_heard(ANA, ["one", "two", "three"])
    way.wait_idle()
    assert not is_paused(way, ANA)
    until("the echo has settled the doubt", lambda: way.doubts() == [])
    assert "takeovers" not in way.counters()


def test_what_takes_nothing_over(line):
    """Another program's message, an old one of a device, and any message with TAKEOVER_FROM=off."""
    way = line()
    post_own(way, ANA, "promoção", event="send.message")
    post_own(way, ANA, "bom dia", age_s=600)
    assert not is_paused(way, ANA)
    off = ReplyLine(way.deployment, way.stub)
    off.webhook = way.deployment.webhook(takeover_from="off")
    post_own(off, ANA, "deixa comigo")
    assert not is_paused(way, ANA)


def test_keywords(line):
    """`#humano` takes the conversation without an answer, `#BOT` gives it back."""
    way = line()
    way.deployment.worker()
    post_own(way, ANA, "#Humano")
    assert is_paused(way, ANA)
    post_own(way, ANA, " #BOT ")
    assert not is_paused(way, ANA)
    way.deployment.agent.answer(ANA, replying("one"))
    way.say(ANA, "oi")
    way.wait_heard(ANA, ["one"])
