"""The parts of an answer, one by one: what is marked, what leaves, what is stored, and what the operator reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from buffer.models import Outcome
from buffer.reply_models import SendLimits
from buffer.reply_store import Replies
from buffer.store import Store
from gateways.sending import Part, ReplyTo, Sender, Target
from tests.servers import free_port
from tests.unit.reply_doubles import PEER, REF, SECRET, SENDER, WHO, FakeStore, Gateway, batch, open_gateway
from worker.leases import LeaseEnded, Leases
from worker.replies import Delivery, PartSender, pace_ms
from worker.reply_client import Limits, ReplyClient
from worker.reply_log import ReplyLog

PARTS = (Part(text="one"), Part(text="two"), Part(text="three"))
SHORT = Limits(wait_s=0.5, connect_s=0.5, write_s=0.2, read_s=0.3)


class Outside:
    """A gateway, a store, and the sending of an answer between the two."""

    def __init__(self, gateway: Gateway, store: FakeStore, client: ReplyClient, make_settings: Any) -> None:
        self.gateway = gateway
        self.store = store
        self.replies = PartSender(cast(Replies, store), client, ReplyLog())
        self._settings = make_settings
        self.age_s = 0.0
        self.sender: Sender = SENDER
        self.parts: tuple[Part, ...] = PARTS
        self.url = gateway.url
        self.lines: list[Any] = []

    def delivery(self, attempt: int = 1, **settings: object) -> Delivery:
        """The sending of PARTS."""
        some = self._settings(retry_base=5, **settings)
        leases = Leases(cast(Store, self.store), some)
        lease = leases.of(REF, "t", asyncio.get_running_loop().time() - self.age_s)
        to = ReplyTo(WHO, {"message_id": "m1"})
        return Delivery(REF, batch(attempt=attempt), lease, some, self.sender, Target(self.url, SECRET), to, self.parts)

    async def send(self, first: int = 1, last: int = 3, **options: Any) -> str | None:
        """Send the parts `first` to `last`."""
        with capture_logs() as lines:
            try:
                return await self.replies.send(self.delivery(**options), first, last)
            finally:
                self.lines += lines

    def events(self, level: str) -> list[str]:
        """The log lines of a level."""
        return [str(line["event"]) for line in self.lines if line["log_level"] == level]


@pytest.fixture
async def outside(make_settings: Callable[..., Any]) -> AsyncIterator[Outside]:
    client = ReplyClient(SHORT)
    async with open_gateway() as gateway:
        yield Outside(gateway, FakeStore(), client, make_settings)
    await client.close()


async def test_parts_leave_in_order(outside: Outside):
    """Each is marked with our id, sent, and stored as sent with the gateway's id before the next one."""
    assert await outside.send() is None
    assert outside.gateway.texts == ["one", "two", "three"]
    limits = SendLimits(1000, 1, 1500, 2, 30_000)
    assert outside.store.steps[:3] == [
        ("begin", 1, "own-flush-1.1", limits),
        ("end", 1, "sent"),
        ("begin", 2, "own-flush-1.2", limits),
    ]
    assert [ending.message_id for ending in outside.store.endings] == ["G1"] * 3
    assert outside.events("warning") == outside.events("error") == []


async def test_only_the_parts_that_are_left(outside: Outside):
    """A later worker begins where the first one stopped."""
    assert await outside.send(2, 2) is None
    assert outside.gateway.texts == ["two"]


@pytest.mark.parametrize("mark", ["wait", "held", "lost", "cancelled", "broken"])
async def test_a_part_that_may_not_leave(outside: Outside, mark):
    """No request is made, and nothing more is stored."""
    outside.store.marks[2] = mark
    assert await outside.send() == mark
    assert outside.gateway.texts == ["one"]
    assert [step[0] for step in outside.store.steps] == ["begin", "end", "begin"]


@pytest.mark.parametrize(
    ("answer", "end", "stops"),
    [
        ((429, {"error": "slow down", "after_s": 7}), "later", "later"),
        ((400, {"error": "blocked"}), "refused", "dead"),
        ((401, {"error": "wrong key"}), "misconfigured", "held"),
        ((500, {"error": "who knows"}), "in_doubt", None),
        (None, "in_doubt", None),
        ((599, {}), "in_doubt", None),
    ],
    ids=["later", "refused", "misconfigured", "in doubt", "silence", "unknown to the sender"],
)
async def test_how_a_part_ends(outside: Outside, answer, end, stops):
    """Only a part in doubt lets the next one leave; the rest waits behind every other failure."""
    outside.gateway.answers.extend([answer, (200, {"id": "G2"})])
    assert await outside.send() == stops
    assert outside.store.endings[0].end == end
    assert outside.store.endings[0].message_id is None
    assert outside.gateway.texts == (["one", "two", "three"] if stops is None else ["one"])


async def test_the_wait_that_the_gateway_asks_for(outside: Outside):
    """Retry-After is taken as it is, up to an hour."""
    outside.gateway.answers.append((429, {"error": "x", "after_s": 7.5}))
    await outside.send()
    outside.gateway.answers[0] = (429, {"error": "x", "after_s": 1e12})
    await outside.send()
    assert [ending.delay_ms for ending in outside.store.endings] == [7_500, 3_600_000]


@pytest.mark.parametrize(("attempt", "expected_ms"), [(1, 5_000), (2, 10_000), (99, 30_000)])
async def test_a_refused_connection_is_put_back(outside: Outside, attempt, expected_ms):
    """It is surely unsent, and so will be every other part of the channel: the wait grows to half a minute."""
    outside.url = f"http://127.0.0.1:{free_port()}"
    assert await outside.send(attempt=attempt, reply_give_up=60) == "later"
    (ending,) = outside.store.endings
    assert (ending.end, ending.give_up_ms) == ("limited", 60_000)
    assert abs(ending.delay_ms - expected_ms) <= expected_ms * 0.2


async def test_another_form_is_sent_at_once(outside: Outside):
    """The same part under the same mark, without the quote that the gateway did not find."""
    outside.gateway.answers.extend([(410, {}), (200, {"id": "G2"})])
    assert await outside.send(1, 1) is None
    assert outside.gateway.quotes == ["m1", None]
    assert [step[0] for step in outside.store.steps] == ["begin", "end"]


async def test_a_file_that_the_gateway_cannot_take(outside: Outside):
    """Its caption and its address go as text."""
    outside.parts = (Part("image", "a photo", "https://example.com/a.png"),)
    outside.gateway.answers.extend([(410, {"as_link": True}), (200, {"id": "G2"})])
    assert await outside.send(1, 1) is None
    assert outside.gateway.texts == ["a photo", "a photo\nhttps://example.com/a.png"]


async def test_another_form_again_and_again(outside: Outside):
    """A gateway that is never content gets three requests."""
    outside.gateway.answers.append((410, {"error": "no quote"}))
    assert await outside.send(1, 1) == "dead"
    assert len(outside.gateway.paths) == 3


async def test_strikes_of_a_part_that_had_no_effect(outside: Outside):
    """The third in a row is a lost connection: the channel is held instead."""
    outside.gateway.answers.append((429, {"error": "connection closed", "strikes": 3}))
    assert [await outside.send(1, 1) for _ in range(3)] == ["later", "later", "held"]
    assert outside.store.endings[-1].reason == "connection closed, 3 times in a row"


async def test_strikes_in_doubt(outside: Outside):
    """They stay in doubt, and block the channel for the next part, which is not sent."""
    outside.gateway.answers.append((500, {"error": "server error 400", "strikes": 1}))
    assert await outside.send() == "held"
    assert [ending.end for ending in outside.store.endings] == ["in_doubt", "misconfigured"]
    assert outside.gateway.texts == ["one"]


async def test_a_sender_that_breaks_makes_a_dead_letter(outside: Outside):
    """A bug in a sender is about this part: it ends, and the error stands in the letter."""

    def broken(*_: object) -> Any:
        raise KeyError("thread")

    outside.sender = Sender(broken, SENDER.read, 1, SENDER.channel_rate, SENDER.person_rate)
    assert await outside.send() == "dead"
    assert "KeyError('thread')" in outside.store.endings[0].reason
    assert outside.gateway.texts == []


async def test_reasons_are_masked(outside: Outside):
    """Neither the log nor the store gets the secret, the number or the text that the gateway repeats."""
    outside.gateway.answers.append((400, {"error": f"{SECRET}: no message 'one' to {PEER}"}))
    await outside.send()
    told = outside.store.endings[0].reason + repr(outside.lines)
    assert "no message" in told
    assert SECRET not in told
    assert PEER not in told
    assert "'one'" not in told


async def test_a_lease_that_is_over_sends_nothing(outside: Outside):
    """A worker that wakes after its lease does not even mark."""
    outside.age_s = 15.0
    with pytest.raises(LeaseEnded, match="lost"):
        await outside.send()
    assert outside.store.steps == []


async def test_a_zombie_between_mark_and_send(outside: Outside, monkeypatch):
    """The process stood still while the mark was on its way back: the request does not leave."""
    begin = outside.store.begin_part
    delivery = outside.delivery()

    async def slow(*arguments: Any) -> Any:
        delivery.lease.until = 0.0
        return await begin(*arguments)

    monkeypatch.setattr(outside.store, "begin_part", slow)
    outside.store.outcomes[1] = "lost"
    assert await outside.replies.send(delivery, 1, 3) == "lost"
    assert outside.gateway.texts == []
    assert outside.store.endings[0].end == "later"


async def test_a_stop_during_the_request(outside: Outside):
    """The part is in doubt, and that is stored before the worker ends."""
    outside.gateway.answers.append(None)
    sending = asyncio.create_task(outside.send())
    await outside.gateway.arrived.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert [step[0] for step in outside.store.steps] == ["begin", "end"]
    assert outside.store.endings[0].end == "in_doubt"


async def test_a_stop_before_the_request(outside: Outside, monkeypatch):
    """The mark may be set although its reply has not come: the part is put back."""
    marking = asyncio.Event()

    async def stuck(*arguments: Any) -> Any:
        marking.set()
        await asyncio.sleep(60)

    monkeypatch.setattr(outside.store, "begin_part", stuck)
    sending = asyncio.create_task(outside.send())
    await marking.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert [(ending.end, ending.delay_ms) for ending in outside.store.endings] == [("later", 0)]


async def test_a_takeover_during_the_request(outside: Outside):
    """The renewal says `cancelled`: the request is cut, and what became of it is stored."""
    outside.gateway.answers.append(None)
    outside.store.renewed = Outcome.CANCELLED
    with pytest.raises(LeaseEnded, match="cancelled"):
        await outside.send(flush_renew_interval=0.05)
    assert outside.store.endings[0].end == "in_doubt"


async def test_an_outage_is_told_once(outside: Outside):
    """One loud line for a channel whose credentials are wrong, and one when it works again."""
    outside.gateway.answers.append((401, {"error": "wrong key"}))
    for _ in range(3):
        await outside.send(1, 1)
    (line,) = outside.events("error")
    assert "no reply can be sent through this channel of evolution: wrong key" in line
    outside.gateway.answers[0] = (200, {"id": "G1"})
    for _ in range(2):
        await outside.send(1, 1)
    assert outside.events("info").count("replies to evolution are sent again") == 1


async def test_a_refusal_is_an_error_with_what_to_do(outside: Outside):
    """The gateway's reason in plain words, and the command."""
    outside.gateway.answers.extend([(200, {"id": "G1"}), (400, {"error": "this person has blocked you"})])
    await outside.send()
    assert outside.events("error") == [
        "dead letter: the reply to 5511*******11 was not sent from part 2 on (this person has blocked you); "
        "`debouncer dead` lists it and sends it again, without calling the agent"
    ]


async def test_a_doubt_that_is_sent_again_names_no_command(outside: Outside):
    """REPLY_IN_DOUBT=resend puts the part back: nothing is listed, so the log does not send anybody to the list."""
    outside.gateway.answers.append((500, {"error": "internal"}))
    assert await outside.send(reply_in_doubt="resend") == "later"
    assert outside.store.endings[0].end == "later"
    assert outside.events("warning") == ["part put back"]


async def test_a_doubt_names_the_command(outside: Outside):
    """The line says who, why, and what to do."""
    outside.gateway.answers.extend([(500, {"error": "internal"}), (200, {"id": "G1"})])
    await outside.send()
    assert outside.events("warning") == [
        "nobody knows whether a part reached 5511*******11 (internal); `debouncer doubt` lists it, and sends it again "
        "or drops it"
    ]


@pytest.mark.parametrize(
    ("text", "cps", "expected_ms"),
    [("x" * 50, 0, 0), ("x" * 50, 10, 5_000), ("x" * 500, 10, 10_000), (None, 10, 0)],
)
def test_how_long_a_person_would_type(make_settings, text, cps, expected_ms):
    """As long as the text takes at REPLY_TYPING_CPS, 10 s at most."""
    assert pace_ms(make_settings(reply_typing_cps=cps), Part(text=text)) == expected_ms


async def test_the_pace_of_the_next_part(outside: Outside):
    """The end of a part carries the wait before the next one, and none after the last."""
    assert await outside.send(reply_typing_cps=1) is None
    assert [ending.delay_ms for ending in outside.store.endings] == [3_000, 5_000, 0]
