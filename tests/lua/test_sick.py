"""Keys that no script can read: they hold up nobody for ever, and no neighbour in the same call at all."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from buffer.models import Claim, Conversation
from tests.lua.driver import ANA, LEASE_MS, WINDOW_MS, ScriptDriver, ids

PEOPLE = [Conversation("generic", "loja", f"person-{number:03d}") for number in range(6)]
SICK = PEOPLE[3]
OTHERS = [who for who in PEOPLE if who != SICK]
BROKEN_WAKE_MS = 60_000

Break = Callable[[ScriptDriver], Awaitable[Any]]


def wrong_type(kind: str) -> Break:
    """Return a function that puts a key of another type in the place of one of the sick conversation."""

    async def break_it(driver: ScriptDriver) -> None:
        await driver.redis.delete(driver.key(kind, SICK))
        if kind in ("timer", "lock", "seen"):
            await driver.redis.sadd(driver.key(kind, SICK), "not a string")
        else:
            await driver.redis.set(driver.key(kind, SICK), "of another type")

    break_it.__name__ = f"{kind} of another type"
    return break_it


def wrong_partition_type(kind: str) -> Break:
    """Return a function that puts a key of another type in the place of one of the partition."""

    async def break_it(driver: ScriptDriver) -> None:
        await driver.redis.set(driver.partition_key(kind), "of another type")

    break_it.__name__ = f"{kind} of the partition"
    return break_it


def missing(kind: str) -> Break:
    """Return a function that deletes a key of the sick conversation."""

    async def break_it(driver: ScriptDriver) -> None:
        await driver.redis.delete(driver.key(kind, SICK))

    break_it.__name__ = f"{kind} missing"
    return break_it


def field(name: str, value: bytes | None) -> Break:
    """Return a function that replaces or deletes a field of the conv hash."""

    async def break_it(driver: ScriptDriver) -> None:
        if value is None:
            await driver.redis.hdel(driver.key("conv", SICK), name)
        else:
            await driver.redis.hset(driver.key("conv", SICK), name, value)

    break_it.__name__ = f"{name} is {(value or b'missing')[:8]!r}"
    return break_it


def entry(kind: str, value: bytes) -> Break:
    """Return a function that replaces the first message in a list of the sick conversation."""

    async def break_it(driver: ScriptDriver) -> None:
        if await driver.redis.exists(driver.key(kind, SICK)):
            await driver.redis.lset(driver.key(kind, SICK), 0, value)

    break_it.__name__ = f"{kind} holds {value[:8]!r}"
    return break_it


async def malformed_seen(driver: ScriptDriver) -> None:
    """Put bytes that are no records into the memory of ids."""
    await driver.redis.set(driver.key("seen", SICK), "no records")


FAR = struct.pack(">HIHIII", 3000, 0, 3000, 0, 1, 1)
ENTRIES = (
    b"",
    b"x",
    b"garbage " * 9,
    bytes(25),
    bytes(25) + b"{not json}",
    bytes(25) + b"[1]",
    bytes(25) + b'{"text":1}',
)
BREAKS: list[Break] = [
    *(
        wrong_type(kind)
        for kind in ("conv", "buffer", "batch", "media", "redrive", "timer", "lock", "seen", "slabs", "mark")
    ),
    *(missing(kind) for kind in ("conv", "buffer", "batch", "timer", "lock")),
    *(field("window", value) for value in (None, b"", b"short", b"garbage " * 4, FAR)),
    *(field(name, b"garbage") for name in ("token", "lease_until_ms", "retry_at_ms", "closed_ms", "aliases", "reason")),
    *(field(name, None) for name in ("ref", "gateway", "channel", "peer")),
    *(
        field(name, None)
        for name in ("reason", "closed_ms", "separator", "sealed_peer", "sealed_name", "flush_id", "fence")
    ),
    *(field(name, b"\0garbage\n") for name in ("ref", "flush_id")),
    *(field(name, b"99999999999999") for name in ("lease_until_ms", "retry_at_ms", "paused_until_ms")),
    *(field("span", value) for value in (b"", b"short", b"garbage " * 2, b"\xff" * 12)),
    *(entry(kind, value) for kind in ("buffer", "batch") for value in ENTRIES),
    malformed_seen,
    *(wrong_partition_type(kind) for kind in ("idle", "alias", "dead", "history", "counters", "channels")),
]

ALL_BREAKS = pytest.mark.parametrize("break_it", BREAKS, ids=lambda one: one.__name__.replace(" ", "-"))


async def claim_all(driver: ScriptDriver) -> dict[Conversation, Any]:
    """Claim the conversations of all people in one call."""
    claims = await asyncio.gather(*(driver.claim(who, "w1") for who in PEOPLE))
    return dict(zip(PEOPLE, claims, strict=True))


async def say(driver: ScriptDriver, *message_ids: str) -> None:
    """Append a message of everyone for each of the ids."""
    for message_id in message_ids:
        for who in PEOPLE:
            await driver.append(message_id, to=who)


async def live(driver: ScriptDriver, *, rounds: int = 8) -> dict[Conversation, list[str]]:
    """Let time pass while one worker delivers what it gets. Return the message ids that it delivered to each."""
    told: dict[Conversation, list[str]] = {who: [] for who in PEOPLE}
    for _ in range(rounds):
        driver.clock.advance(LEASE_MS)
        for who in PEOPLE:
            claim = await driver.claim(who, f"w{driver.clock()}")
            if claim.batch and claim.batch.messages:
                told[who] += ids(claim.batch)
                assert await driver.store.ack(driver.ref(who), claim.batch.token) == "ok"
            elif claim.batch:
                assert await driver.fail(claim.batch.token, "dead", to=who) == "dead"
    return told


@ALL_BREAKS
async def test_claim(driver: ScriptDriver, break_it: Break):
    """Neighbours of a sick conversation are claimed as ever, and its own next message is delivered."""
    await say(driver, "m1", "m2")
    driver.clock.advance(WINDOW_MS)
    await break_it(driver)
    claims = await claim_all(driver)
    assert {who: ids(claims[who].batch) for who in OTHERS} == {who: ["m1", "m2"] for who in OTHERS}
    for who in OTHERS:
        assert await driver.store.ack(driver.ref(who), claims[who].batch.token) == "ok"
    await recovers(driver)


@pytest.mark.parametrize("server", ["valkey"], indirect=True)
@pytest.mark.parametrize("verb", ["renew", "answered", "ack", "fail", "crash"])
@ALL_BREAKS
async def test_under_a_lease(driver: ScriptDriver, break_it: Break, verb: str):
    """Neighbours of a sick conversation get the usual outcome in the same call, and its next message is delivered."""
    await say(driver, "m1", "m2")
    driver.clock.advance(WINDOW_MS)
    claims = await claim_all(driver)
    await say(driver, "m3")
    await break_it(driver)
    if verb != "crash":
        outcomes = await asyncio.gather(*(end(driver, verb, who, claims[who].batch.token) for who in PEOPLE))
        assert {who for who, outcome in zip(PEOPLE, outcomes, strict=True) if outcome != "ok"} <= {SICK}
    await recovers(driver)


async def end(driver: ScriptDriver, verb: str, who: Conversation, token: str) -> str:
    """Call a verb of a lease."""
    store, ref = driver.store, driver.ref(who)
    if verb == "fail":
        return await driver.fail(token, "retry", to=who)
    return await (store.answered(ref, token, b"{}") if verb == "answered" else getattr(store, verb)(ref, token))


async def recovers(driver: ScriptDriver) -> None:
    """Check that nobody waits for ever: what is said next is delivered to everyone, and nothing is left behind."""
    await live(driver)
    # No delivery needs these.
    for kind in ("mark", "media", "redrive", "slabs"):
        await driver.redis.delete(driver.key(kind, SICK))
    for kind in ("dead", "counters"):
        if await driver.redis.type(driver.partition_key(kind)) == b"string":
            await driver.redis.delete(driver.partition_key(kind))
    if (await driver.append("first", to=SICK))[0].status == "broken":
        await live(driver, rounds=1)
    for who in PEOPLE:
        assert (await driver.append("next", to=who))[0].status == "new"
    told = await live(driver)
    assert {who: names[-1:] for who, names in told.items()} == {who: ["next"] for who in PEOPLE}
    assert await driver.redis.zcard(driver.partition_key("wake")) == 0


async def test_unreadable_messages_are_left_out_and_counted(driver: ScriptDriver):
    """A batch holds what can be read, in its order, and says how many stored messages it lacks."""
    await driver.append("m1", "m2", "m3")
    await driver.redis.lset(driver.key("buffer"), 1, "garbage")
    driver.clock.advance(WINDOW_MS)
    first = await driver.claim_batch()
    assert (ids(first), first.skipped) == (["m1", "m3"], 1)
    driver.clock.advance(LEASE_MS)
    again = await driver.claim_batch(caller="w2")
    assert (ids(again), again.skipped, again.flush_id) == (["m1", "m3"], 1, first.flush_id)


async def test_nothing_readable_becomes_a_dead_letter(driver: ScriptDriver):
    """A batch without a readable message can be kept as a dead letter, with what its list holds as evidence."""
    await driver.append("m1")
    await driver.redis.lset(driver.key("buffer"), 0, "garbage")
    driver.clock.advance(WINDOW_MS)
    batch = await driver.claim_batch()
    assert (batch.messages, batch.skipped) == ((), 1)
    assert await driver.fail(batch.token, "dead") == "dead"
    assert await driver.redis.lrange(driver.store.keys.of(0, "remains", batch.flush_id), 0, -1) == [b"garbage"]


@pytest.mark.parametrize("mode", ["retry", "dead"])
async def test_batch_without_its_list_is_recorded_and_dropped(driver: ScriptDriver, mode: str):
    """A batch whose list is gone ends with a record, and the next burst is delivered."""
    batch = await driver.in_flight("m1")
    await driver.append("m2")
    await driver.redis.delete(driver.key("batch"))
    assert await driver.fail(batch.token, mode) == ("ok" if mode == "retry" else "dead")
    driver.clock.advance(WINDOW_MS)
    assert ids(await driver.claim_batch(caller="w2")) == ["m2"]
    [record] = await driver.history()
    assert (record["outcome"], record["cause"], record["flush_id"]) == ("discarded", "lost", batch.flush_id)


async def test_batch_that_a_claim_finds_without_its_list(driver: ScriptDriver):
    """The claim says that it dropped a batch, and returns the next one."""
    batch = await driver.in_flight("m1")
    await driver.append("m2")
    await driver.redis.delete(driver.key("batch"))
    driver.clock.advance(LEASE_MS)
    claim = await driver.claim(caller="w2")
    assert ids(claim.batch) == ["m2"]
    assert claim.ended is not None
    assert (claim.ended.outcome, claim.ended.flush_id) == ("lost", batch.flush_id)


async def test_messages_of_a_lost_window_are_recorded(driver: ScriptDriver):
    """A burst whose list is gone ends with a record of as many messages as its window counted."""
    await driver.append("m1", "m2")
    await driver.redis.delete(driver.key("buffer"))
    driver.clock.advance(WINDOW_MS)
    claim = await driver.claim()
    assert claim.status == "empty"
    assert claim.ended is not None
    assert (claim.ended.outcome, claim.ended.messages, claim.ended.conversation) == ("lost", 2, ANA)
    [record] = await driver.history()
    assert (record["outcome"], record["cause"], record["messages"]) == ("discarded", "lost", 2)
    assert (await driver.counters())["messages_discarded"] == 2


async def test_sick_key_is_kept_as_evidence(driver: ScriptDriver):
    """A key of another type is renamed and counted, not deleted."""
    await driver.append("m1")
    await driver.redis.set(driver.key("buffer"), "what somebody wrote")
    driver.clock.advance(WINDOW_MS)
    await driver.claim()
    evidence = driver.store.keys.of(0, "sick", f"buffer:{driver.ref().hash}")
    assert await driver.redis.get(evidence) == b"what somebody wrote"
    assert (await driver.counters())["sick"] == 1


async def test_malformed_window_is_rebuilt_from_its_messages(driver: ScriptDriver):
    """No message of a burst with a malformed window is lost: it is due at once."""
    await driver.append("m1", "m2")
    await driver.redis.hset(driver.key("conv"), "window", "malformed")
    batch = await driver.claim_batch()
    assert ids(batch) == ["m1", "m2"]


async def test_without_an_identity_it_waits_for_its_person(driver: ScriptDriver):
    """Messages whose conv hash is gone keep a wake entry, and go out with the next message of their person."""
    batch = await driver.in_flight("m1")
    await driver.append("m2")
    await driver.redis.delete(driver.key("conv"))
    assert await driver.claim() == Claim("broken", None, None)
    assert await driver.wake_ms() == driver.clock() + BROKEN_WAKE_MS
    assert await driver.store.ack(driver.ref(), batch.token) == "lost"
    await driver.append("m3")
    driver.clock.advance(WINDOW_MS)
    assert ids(await driver.claim_batch()) == ["m1", "m2", "m3"]


@pytest.mark.parametrize("operation", ["repair", "snapshot"])
async def test_upkeep_goes_on(driver: ScriptDriver, operation: str):
    """Repair and snapshot serve the others when one conversation cannot be read."""
    await say(driver, "m1")
    await driver.redis.set(driver.key("conv", SICK), "of another type")
    if operation == "repair":
        await driver.delete_wake_entry(OTHERS[0])
    await getattr(driver.store, operation)(0)
    assert await driver.wake_ms(OTHERS[0]) is not None
    await driver.redis.delete(driver.key("buffer", SICK), driver.key("conv", SICK))


async def test_sweep_forgets_a_conversation_of_another_type(driver: ScriptDriver):
    """The sweep sets an unreadable conversation aside and forgets it with the others."""
    for who in PEOPLE:
        batch = await driver.in_flight("m1", to=who)
        await driver.store.ack(driver.ref(who), batch.token)
    await driver.redis.set(driver.key("conv", SICK), "of another type")
    driver.clock.advance(8 * 86_400_000)
    assert await driver.store.sweep(0) == len(PEOPLE)
    assert await driver.redis.zcard(driver.partition_key("idle")) == 0
