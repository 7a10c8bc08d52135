"""Insights: what people read of a running system, over all partitions."""

from __future__ import annotations

import pytest

from buffer.insight_models import FlushRecord
from buffer.insights import OVERDUE_MS, OVERDUE_READ_MAX, Insights
from buffer.models import Conversation
from tests.lua.driver import ANA, WINDOW_MS, ScriptDriver
from tests.lua.reply_driver import ReplyDriver

CHANNELS = [f"c{number}" for number in range(6)]


def person(channel: str, peer: str = "ana") -> Conversation:
    return Conversation("generic", channel, peer)


async def deliver(driver: ScriptDriver, to: Conversation) -> str:
    """Say something and deliver it. Return the flush_id."""
    batch = await driver.in_flight(f"m{driver.clock()}", to=to)
    assert await driver.store.ack(driver.ref(to), batch.token) == "ok"
    return batch.flush_id


async def next_ms(driver: ScriptDriver) -> None:
    """Wait for the next millisecond of the server: records of two partitions in the same one have no order."""
    began = await server_ms(driver)
    while await server_ms(driver) == began:
        pass


async def server_ms(driver: ScriptDriver) -> int:
    seconds, microseconds = await driver.redis.time()
    return int(seconds * 1000 + microseconds // 1000)


async def all_flushes(insights: Insights, size: int, **asked: str) -> list[FlushRecord]:
    """Read all pages."""
    page = await insights.flushes(size, **asked)
    items = page.items
    while page.next_cursor:
        assert len(page.items) == size
        page = await insights.flushes(size, page.next_cursor, **asked)
        items += page.items
    return items


@pytest.fixture
def wide(open_driver) -> ScriptDriver:
    """Return a driver with three partitions."""
    return open_driver(redis_partitions=3)


async def test_totals_of_all_partitions(wide: ScriptDriver):
    """Every channel is listed once with its own counters, whatever partition it lies in."""
    for channel in CHANNELS:
        await wide.append("m1", "m2", to=person(channel))
    totals = {each.channel: each for each in await Insights(wide.store).totals()}
    assert sorted(totals) == CHANNELS
    assert {each.counters["messages_accepted"] for each in totals.values()} == {2}
    assert {each.gateway for each in totals.values()} == {"generic"}
    assert {each.today["messages"] for each in totals.values()} == {2}


async def test_record_of_a_flush(driver: ScriptDriver, replies: ReplyDriver):
    """A record tells when the messages came, and when the flush was due, claimed, answered and done."""
    start_ms = driver.clock()
    await driver.append("m1")
    driver.clock.advance(1_500)
    await driver.append("m2")
    driver.clock.advance(WINDOW_MS + 20)
    batch = await driver.claim_batch()
    driver.clock.advance(700)
    await replies.answer(batch, "olá", "tudo bem?")
    for number in (1, 2):
        await replies.send(batch, number)
    driver.clock.advance(300)
    await driver.store.ack(driver.ref(), batch.token)
    [record] = (await Insights(driver.store).flushes(10)).items
    closed_ms = start_ms + 1_500 + WINDOW_MS
    assert record == FlushRecord(
        ref=str(driver.ref()),
        conversation=ANA,
        flush_id=batch.flush_id,
        reason="quiet",
        outcome="acked",
        cause="",
        messages=2,
        opened_ms=start_ms,
        last_ms=start_ms + 1_500,
        due_ms=closed_ms,
        closed_ms=closed_ms,
        claimed_ms=closed_ms + 20,
        answered_ms=closed_ms + 720,
        ended_ms=closed_ms + 1_020,
        attempts=1,
        parts=2,
        next_part=3,
        doubts=0,
        arrivals_ms=(0, 1_500),
        error="",
        window_ms=WINDOW_MS,
        window_why="fixed",
    )


async def test_record_of_a_redriven_flush(driver: ScriptDriver):
    """A dead letter that is delivered later keeps the times of its messages."""
    start_ms = driver.clock()
    batch = await driver.make_dead_letter("m1", "m2")
    driver.clock.advance(3_600_000)
    await driver.store.redrive(batch.flush_id)
    again = await driver.claim_batch(caller="w2")
    await driver.store.ack(driver.ref(), again.token)
    delivered, dead = (await Insights(driver.store).flushes(10)).items
    assert (dead.outcome, dead.error, delivered.outcome) == ("dead", "refused", "acked")
    assert delivered.opened_ms == dead.opened_ms == start_ms
    assert delivered.arrivals_ms == (0, 0)


async def test_record_of_many_messages(open_driver):
    """Only the first arrivals are kept, and the span stays short enough for a small hash."""
    driver = open_driver(message_buffer_max_messages=100)
    await driver.append(*(f"m{number}" for number in range(40)))
    driver.clock.advance(WINDOW_MS)
    batch = await driver.claim_batch()
    assert len(await driver.redis.hget(driver.key("conv"), "span")) <= 64
    await driver.store.ack(driver.ref(), batch.token)
    [record] = (await Insights(driver.store).flushes(1)).items
    assert (record.messages, record.arrivals_ms) == (40, (0,) * 12)


async def test_doubts_of_a_flush(driver: ScriptDriver, replies: ReplyDriver):
    """The record says how many parts were in doubt at the end."""
    await replies.doubt("olá")
    [record] = (await Insights(driver.store).flushes(1)).items
    assert (record.doubts, record.parts) == (1, 1)


@pytest.mark.parametrize("size", [1, 2, 5, 100])
async def test_pages_of_flushes(wide: ScriptDriver, size: int):
    """Pages of all partitions hold every record once, newest first."""
    flush_ids = []
    for channel in CHANNELS + CHANNELS:
        flush_ids.append(await deliver(wide, person(channel)))
        await next_ms(wide)
    records = await all_flushes(Insights(wide.store), size)
    assert sorted(record.flush_id for record in records) == sorted(flush_ids)
    ended = [record.ended_ms for record in records]
    assert ended == sorted(ended, reverse=True)


async def test_filtered_flushes(wide: ScriptDriver):
    """Records can be asked for by conversation, outcome and channel; pages stay whole."""
    insights = Insights(wide.store)
    for channel in CHANNELS:
        await deliver(wide, person(channel))
        await wide.make_dead_letter("m2", to=person(channel))
    assert len(await all_flushes(insights, 2, outcome="dead")) == 6
    asked = await all_flushes(insights, 1, gateway="generic", channel="c1")
    assert [record.outcome for record in asked] == ["dead", "acked"]
    [acked] = await all_flushes(insights, 1, ref=str(wide.ref(person("c2"))), outcome="acked")
    assert acked.conversation == person("c2")
    assert await all_flushes(insights, 1, channel="nobody") == []


async def test_records_that_come_meanwhile(wide: ScriptDriver):
    """A record that is new since the first page moves nothing: no other is shown twice or left out."""
    insights = Insights(wide.store)
    flush_ids = [await deliver(wide, person(channel)) for channel in CHANNELS]
    first = await insights.flushes(3)
    for channel in CHANNELS:
        await deliver(wide, person(channel))
    second = await insights.flushes(3, first.next_cursor)
    assert sorted(record.flush_id for record in first.items + second.items) == sorted(flush_ids)
    assert second.next_cursor is None


@pytest.mark.parametrize("cursor", ["x", "1.2", "1.2.-3", "1.2.3.4", "1.2.³", "9" * 30 + ".1.1"])
async def test_bad_cursor(wide: ScriptDriver, cursor: str):
    """A cursor that no page has returned is refused with a sentence."""
    insights = Insights(wide.store)
    with pytest.raises(ValueError, match="no cursor of this list"):
        await insights.flushes(1, cursor)
    with pytest.raises(ValueError, match="no cursor of this list"):
        await insights.pending(1, cursor)


@pytest.mark.parametrize("cursor", ["999999999999999~0-x", "0~\x00", "0~" + "9" * 2000, "0~7-x"])
async def test_cursor_of_nobody(wide: ScriptDriver, cursor: str):
    """A cursor that is well formed and names nothing leads to a page, and breaks nothing."""
    await wide.append("m1", to=person("c1"))
    assert len((await Insights(wide.store).pending(1, cursor)).items) <= 1


@pytest.mark.parametrize("same_ms", [False, True], ids=["one-a-ms", "all-at-once"])
async def test_those_that_go_shift_nothing(wide: ScriptDriver, same_ms: bool):
    """Conversations go, and the last one of a page waits longer, while somebody reads: no other is left out."""
    insights = Insights(wide.store)
    people = [person(channel, f"p{number}") for number in range(5) for channel in CHANNELS]
    for who in people:
        await wide.append("m1", to=who)
        wide.clock.advance(0 if same_ms else 1)
    page, seen, paused = await insights.pending(4), list[Conversation](), set[Conversation]()
    while True:
        seen += [row.conversation for row in page.items]
        if page.next_cursor is None:
            break
        *others, last = [row.conversation for row in page.items]
        for who in others:
            await wide.store.discard(who)
        await wide.store.pause(last, 60_000)
        paused.add(last)
        page = await insights.pending(4, page.next_cursor)
    assert set(seen) == set(people)
    assert {who for who in people if seen.count(who) > 1} <= paused


@pytest.mark.parametrize("size", [1, 4, 100])
async def test_pages_of_pending(wide: ScriptDriver, size: int):
    """Pages of all partitions hold every conversation of the wake index once, soonest first."""
    insights = Insights(wide.store)
    people = [person(channel, peer) for channel in CHANNELS for peer in ("ana", "bia")]
    for who in people:
        await wide.append("m1", "m2", to=who)
        wide.clock.advance(10)
    page = await insights.pending(size)
    found = page.items
    while page.next_cursor:
        assert (len(page.items), page.total) == (size, len(people))
        page = await insights.pending(size, page.next_cursor)
        found = found + page.items
    assert [row.conversation for row in found] == people
    assert {(row.state, row.messages) for row in found} == {("open", 2)}
    assert [row.ref for row in found] == [str(wide.ref(who)) for who in people]


async def test_gauges(wide: ScriptDriver):
    """The gauges sum all partitions, and tell who is overdue and for how long."""
    insights = Insights(wide.store)
    await deliver(wide, person("c0"))
    await wide.make_dead_letter("m1", to=person("c1"))
    for channel in CHANNELS:
        await wide.append("m2", to=person(channel))
        wide.clock.advance(1_000)
    wide.clock.advance(WINDOW_MS)
    gauges = await insights.gauges()
    assert (gauges.pending, gauges.dead, gauges.idle) == (6, 1, 0)
    assert (gauges.now_ms, gauges.doubts) == (wide.clock(), 0)
    assert (gauges.overdue, gauges.oldest_overdue_ms) == (4, 6_000)


async def test_dispatched_and_forgotten(driver: ScriptDriver):
    """A conversation that was dispatched, and that no worker claims, is overdue although the wake index hides it."""
    await driver.append("m1")
    driver.clock.advance(WINDOW_MS + 3_000)
    await driver.dispatch()
    gauges = await Insights(driver.store).gauges()
    assert (gauges.overdue, gauges.oldest_overdue_ms) == (1, 3_000)


async def test_in_flight_is_not_overdue(driver: ScriptDriver):
    """A batch that the agent thinks about for long is not overdue."""
    batch = await driver.in_flight("m1")
    for _ in range(3):
        driver.clock.advance(10_000)
        await driver.store.renew(driver.ref(), batch.token)
    assert (await Insights(driver.store).gauges()).overdue == 0


@pytest.mark.parametrize("kind", ["history", "channels", "doubt"])
async def test_key_of_another_type_hides_no_other(wide: ScriptDriver, kind: str):
    """What lies in the other partitions is still read."""
    insights = Insights(wide.store)
    for channel in CHANNELS:
        await deliver(wide, person(channel))
    await insights.totals()
    partition = wide.ref(person("c0")).partition
    await wide.redis.delete(wide.partition_key(kind, partition))
    await wide.redis.set(wide.partition_key(kind, partition), "of another type")
    others = [channel for channel in CHANNELS if wide.ref(person(channel)).partition != partition]
    if kind == "history":
        records = await all_flushes(insights, 10)
        assert sorted(record.conversation.channel for record in records) == others
    elif kind == "channels":
        assert sorted(each.channel for each in await insights.totals()) == others
    else:
        assert (await insights.gauges()).doubts == 0
    await wide.clean()


async def test_all_that_is_overdue_is_counted(driver: ScriptDriver):
    """Where all that were read are overdue, so are those behind them; one that is not yet ends the count."""
    for number in range(OVERDUE_READ_MAX + 20):
        await driver.append("m1", to=person("loja", f"p{number}"))
    driver.clock.advance(WINDOW_MS + OVERDUE_MS)
    assert (await Insights(driver.store).gauges()).overdue == 0
    driver.clock.advance(1)
    assert (await Insights(driver.store).gauges()).overdue == OVERDUE_READ_MAX + 20
