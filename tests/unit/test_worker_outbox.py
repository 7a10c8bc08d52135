"""An answer on its way out: what is stored, what a later worker makes of it, and how a human is called."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, cast

import orjson
import pytest
from structlog.testing import capture_logs

from agents.results import AgentReply
from buffer.store import Store
from config.routes import Routes
from gateways.sending import Part, Target
from tests.unit.reply_doubles import REF, SECRET, SENDER, WHO, FakeStore, Gateway, batch, open_gateway, request
from tests.unit.test_worker_leases import until
from worker.channels import Channel, Channels
from worker.flight import Flight
from worker.leases import Leases
from worker.outbox import Outbox

STORED = orjson.dumps({"parts": [{"kind": "text", "text": "one"}], "last": {}, "is_group": False, "handoff": True})
SENDS = {"evolution_url": "http://evo.example.com", "evolution_api_key": SECRET}


class Desk:
    """An outbox, its store and a gateway."""

    def __init__(self, gateway: Gateway, make_settings: Any) -> None:
        self.gateway = gateway
        self.store = FakeStore()
        self.settings = make_settings
        self.sender = SENDER
        self.target: Target | None = Target(gateway.url, SECRET)
        self.outbox = Outbox(cast(Store, self.store))

    def flight(self, answer: bytes | None = None, next_part: int = 0, **settings: object) -> Flight:
        """A batch in flight, perhaps with an answer of an earlier worker."""
        some = self.settings(**settings)
        found = batch(answer)._replace(next_part=next_part, last_part=min(next_part, 1))
        lease = Leases(cast(Store, self.store), some).of(REF, "t", asyncio.get_running_loop().time())
        return Flight(REF, found, lease, Channel(some, self.sender, self.target))


@pytest.fixture
async def desk(make_settings: Any, monkeypatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr("worker.outbox.Replies", lambda store: store)
    async with open_gateway() as gateway:
        one = Desk(gateway, make_settings)
        yield one
        await one.outbox.close()


def test_routes_have_channels_of_their_own(make_settings):
    """One that has credentials sends, another does not, and a gateway that is not known is silent."""
    channels = Channels(Routes(make_settings(**SENDS)))
    assert not channels.of(WHO).is_silent
    assert channels.of(WHO) is channels.of(WHO._replace(peer="somebody else"))
    assert channels.of(WHO._replace(gateway="waha")).is_silent
    assert channels.of(WHO._replace(gateway="of a later version")).is_silent
    assert Channels(Routes(make_settings(**SENDS, send_replies="off"))).of(WHO).is_silent


async def test_what_is_stored(desk: Desk):
    """A print for each part, and the wait before the first one."""
    packed = desk.outbox.pack(desk.flight(reply_typing_cps=10), AgentReply((Part(text="x" * 20), Part(text="y"))))
    assert packed is not None
    assert (len(packed.prints), packed.first_delay_ms) == (16, 2000)
    assert (packed.answered.first, packed.answered.last) == (1, 2)


async def test_an_answer_without_content(desk: Desk):
    """Nothing is stored."""
    assert desk.outbox.pack(desk.flight(), AgentReply()) is None


async def test_a_silent_channel_keeps_the_answer(desk: Desk):
    """No print, no part, and a line that says what to set."""
    desk.target = None
    with capture_logs() as lines:
        for _ in range(2):
            packed = desk.outbox.pack(desk.flight(), AgentReply((Part(text="one"),), handoff=True))
    assert packed is not None
    assert (packed.prints, packed.answered.last, packed.answered.answer.handoff) == (b"", 0, True)
    assert orjson.loads(packed.answer)["replies"] == ["one"]
    assert [line["event"] for line in lines] == ["answers are not sent: set EVOLUTION_URL and EVOLUTION_API_KEY"]


async def test_an_answer_of_an_earlier_worker(desk: Desk):
    """Its parts are sent from the one that is next."""
    flight = desk.flight(STORED, next_part=1)
    answered = desk.outbox.resume(flight)
    assert answered is not None
    assert await desk.outbox.send(flight, answered) is None
    assert desk.gateway.texts == ["one"]


async def test_the_indicator_of_parts_that_waited_is_ended(desk: Desk):
    """Parts that waited for their pace showed one, which a gateway may keep on after the last of them."""
    desk.sender = replace(SENDER, stop_typing=request("/stop"))
    flight = desk.flight(STORED, next_part=1)
    answered = desk.outbox.resume(flight)
    assert answered is not None
    assert await desk.outbox.send(flight, answered) is None
    await until("it is ended", lambda: desk.gateway.paths == ["/send", "/stop"])


async def test_parts_that_did_not_wait_end_nothing(desk: Desk):
    """The indicator of the agent's call has ended with the call."""
    desk.sender = replace(SENDER, stop_typing=request("/stop"))
    flight = desk.flight()
    packed = desk.outbox.pack(flight, AgentReply((Part(text="one"),)))
    assert packed is not None
    assert await desk.outbox.send(flight, packed.answered) is None
    assert not desk.outbox._typing._tasks
    assert desk.gateway.paths == ["/send"]


@pytest.mark.parametrize("answer", [b'{"replies": ["one"]}', b"garbage"])
async def test_an_answer_that_is_none(desk: Desk, answer: bytes):
    """One of an older version has no parts to send."""
    assert desk.outbox.resume(desk.flight(answer)) is None


@pytest.mark.parametrize(
    ("send_replies", "stop", "end"), [("auto", "held", "misconfigured"), ("off", "dead", "refused")]
)
async def test_parts_whose_channel_is_silent_now(desk: Desk, send_replies, stop, end):
    """Without credentials they wait, and with SEND_REPLIES=off they are a dead letter: they are not lost."""
    desk.target = None
    flight = desk.flight(STORED, next_part=1, send_replies=send_replies)
    answered = desk.outbox.resume(flight)
    assert answered is not None
    assert await desk.outbox.send(flight, answered) == stop
    assert [ending.end for ending in desk.store.endings] == [end]
    assert "answers are not sent" in desk.store.endings[0].reason


async def test_a_part_that_a_dead_worker_left(desk: Desk):
    """The log names the command."""
    flight = desk.flight(STORED, next_part=2)
    doubted = replace(flight, batch=flight.batch._replace(doubted_part=1))
    with capture_logs() as lines:
        desk.outbox.resume(doubted)
    (line,) = lines
    assert "`debouncer doubt`" in line["event"]
    assert line["part"] == 1


@pytest.mark.parametrize("status", [200, 401])
async def test_the_helpdesk_is_told(desk: Desk, status):
    """Once. If that fails, it is told in the log, and the bot is silent all the same."""
    desk.gateway.answers.append((status, {}))
    flight = desk.flight(STORED, next_part=1, takeover_pause=60)
    answered = desk.outbox.resume(flight)
    assert answered is not None
    with capture_logs() as lines:
        assert await desk.outbox.hand_over(flight, answered) == 60_000
    assert desk.gateway.paths == ["/hand-over"]
    assert len(lines) == (status != 200)


async def test_no_hand_over(desk: Desk):
    """An answer that does not ask for it pauses nothing, and a gateway without a helpdesk gets no request."""
    flight = desk.flight(STORED, next_part=1)
    answered = desk.outbox.resume(flight)
    assert answered is not None
    without = answered._replace(answer=answered.answer._replace(handoff=False))
    assert await desk.outbox.hand_over(flight, without) == 0
    desk.sender = replace(SENDER, hand_over=None)
    assert await desk.outbox.hand_over(desk.flight(STORED), answered) == 3_600_000
    assert desk.gateway.paths == []
