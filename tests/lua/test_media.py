"""Inline media is stored beside the buffer, moves with its message and is deleted with it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agents.burst_body import render_burst
from buffer.keys import fingerprint_of
from buffer.models import Append, Batch, Conversation, Message, PauseMode
from buffer.stored_message import encode_message
from tests.lua.aliases import LID, NAMES, PHONE, check_one, deliver, home, linked, said
from tests.lua.driver import ANA, LEASE_MS, WINDOW_MS, ScriptDriver, ids
from tests.messages import message

LIMIT = 1_000
CONTENT = b"QUJD" * 100


def image(
    message_id: str, to: Conversation = ANA, content: bytes = CONTENT, alias: Conversation | None = None
) -> Append:
    """Return a picture in the form of a gateway that sends it inline."""
    media = {"mime": "image/png", "caption": "olha", "base64": content.decode()}
    said_so = Message(to, message_id, None, "image", "olha", media, conversation_alias=alias.peer if alias else None)
    return encode_message(said_so, message_id.encode().ljust(4)[:4], (), LIMIT)


def media_of(batch: Batch) -> dict[str, bytes | None]:
    """Return the inline media of each message of a batch."""
    return dict(zip(ids(batch), [stored.media for stored in batch.messages], strict=True))


async def kept(driver: ScriptDriver) -> int:
    """Return how many pieces of media Redis holds."""
    return sum([await driver.redis.hlen(key) for key in await driver.all_keys() if "}:media:" in key])


async def sealed(driver: ScriptDriver, *appends: Append, to: Conversation = ANA) -> Batch:
    """Append, let the window pass, and claim."""
    await driver.store.append(appends)
    driver.clock.advance(WINDOW_MS)
    return await driver.claim_batch(to)


async def test_beside_the_buffer(driver: ScriptDriver):
    """The buffer holds the message without its media and does not count it. The batch has it again."""
    await driver.store.append([image("m1"), message("m2", ANA)])
    [first, _] = await driver.redis.lrange(driver.key("buffer"), 0, -1)
    assert (CONTENT in first, int((await driver.conv())["bytes"]) < 300) == (False, True)
    assert await driver.redis.hget(driver.key("media"), fingerprint_of("m1")) == CONTENT
    driver.clock.advance(WINDOW_MS)
    assert media_of(await driver.claim_batch()) == {"m1": CONTENT, "m2": None}


async def test_body_has_it_at_every_attempt(driver: ScriptDriver):
    """Every delivery of a batch renders the same bytes, with the media in its message."""
    batch = await sealed(driver, image("m1"), message("m2", ANA))
    first = render_burst(batch)
    assert json.loads(first)["messages"][0]["media"] == {
        "mime": "image/png", "caption": "olha", "base64": CONTENT.decode()
    }  # fmt: skip
    await driver.fail(batch.token, "retry")
    for caller in ("w2", "w3"):
        again = await driver.claim_batch(caller=caller)
        assert render_burst(again) == first
        driver.clock.advance(LEASE_MS)


@pytest.mark.parametrize("end", ["ack", "discard", "discard in flight", "takeover", "cancelled worker dies", "revoke"])
async def test_gone_with_its_message(driver: ScriptDriver, end: str):
    """The media of a message is deleted when it is delivered or discarded, in whatever way."""
    await driver.store.append([image("m1"), image("m2")])
    assert await kept(driver) == 2
    if end == "revoke":
        await driver.store.revoke(ANA, fingerprint_of("m1"))
        assert await kept(driver) == 1
        await driver.store.revoke(ANA, fingerprint_of("m2"))
    elif end == "discard":
        await driver.store.discard(ANA)
    else:
        driver.clock.advance(WINDOW_MS)
        batch = await driver.claim_batch()
        if end != "ack":
            await driver.store.pause(ANA, 1, PauseMode.TAKEOVER) if end == "takeover" else await driver.store.discard(
                ANA
            )
            assert await kept(driver) == 2, "the worker still has the batch"
        if end == "cancelled worker dies":
            driver.clock.advance(LEASE_MS)
            assert (await driver.claim(caller="w2")).status == "empty"
        else:
            await driver.store.ack(driver.ref(), batch.token)
    assert await kept(driver) == 0


async def test_waiting_batch_discarded(driver: ScriptDriver):
    """A discard deletes the media of a batch that waits for its next attempt and of the burst behind it."""
    batch = await sealed(driver, image("m1"))
    await driver.fail(batch.token, "retry", delay_ms=5_000)
    await driver.store.append([image("m2")])
    await driver.store.discard(ANA)
    assert await kept(driver) == 0


async def test_ack_leaves_the_next_burst_alone(driver: ScriptDriver):
    """An ack deletes only the media of its own batch."""
    batch = await sealed(driver, image("m1"))
    await driver.store.append([image("m2")])
    await driver.store.ack(driver.ref(), batch.token)
    assert await kept(driver) == 1
    driver.clock.advance(WINDOW_MS)
    assert media_of(await driver.claim_batch()) == {"m2": CONTENT}


async def test_remainder_keeps_its_own(open_driver):
    """The messages that do not fit into a batch keep their media for their own batch."""
    driver = open_driver(message_buffer_max_messages=2)
    await driver.store.append([image(f"m{n}", content=b"%d" % n) for n in range(5)])
    found: dict[str, Any] = {}
    for batch in await deliver(driver, ANA):
        found |= media_of(batch)
    assert found == {f"m{n}": b"%d" % n for n in range(5)}
    assert await kept(driver) == 0


async def test_dead_letter_and_redrive(driver: ScriptDriver):
    """A dead letter keeps its media while other bursts are delivered, and the redrive renders the same bytes."""
    batch = await sealed(driver, image("m1"), image("m2"))
    await driver.fail(batch.token, "dead")
    other = await sealed(driver, image("m3"))
    await driver.store.ack(driver.ref(), other.token)
    assert await kept(driver) == 2
    await driver.store.redrive(batch.flush_id)
    again = await driver.claim_batch()
    assert render_burst(again) == render_burst(batch)
    await driver.store.ack(driver.ref(), again.token)
    assert await kept(driver) == 0


async def test_dead_letter_outlives_its_conversation(driver: ScriptDriver):
    """The media of a dead letter stays after its conversation was swept."""
    batch = await sealed(driver, image("m1"))
    await driver.fail(batch.token, "dead")
    driver.clock.advance(8 * 86_400_000)
    assert await driver.store.sweep(0) == 1
    await driver.store.redrive(batch.flush_id)
    again = await driver.claim_batch()
    assert render_burst(again) == render_burst(batch)
    await driver.store.ack(driver.ref(), again.token)
    assert await kept(driver) == 0


@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1])
async def test_limit(driver: ScriptDriver, size: int):
    """Media up to MEDIA_INLINE_MAX is stored. With a byte more the message says that it was omitted."""
    batch = await sealed(driver, image("m1", content=b"A" * size))
    [found] = json.loads(render_burst(batch))["messages"]
    rest = {"mime": "image/png", "caption": "olha"}
    assert found["media"] == rest | ({"base64": "A" * size} if size == LIMIT else {"omitted": True})
    assert await kept(driver) == (size == LIMIT)


async def test_duplicate_brings_no_second_copy(driver: ScriptDriver):
    """A duplicate stores no media, neither while its message is buffered nor after its delivery."""
    batch = await sealed(driver, image("m1"))
    await driver.store.append([image("m1", content=b"other")._replace(nonce=b"zzzz")])
    assert render_burst(await driver.claim_batch()) == render_burst(batch)
    await driver.store.ack(driver.ref(), batch.token)
    await driver.store.append([image("m1")._replace(nonce=b"yyyy")])
    assert await kept(driver) == 0


@pytest.mark.parametrize("why", ["takeover", "revoke", "stale"])
async def test_message_that_is_not_kept(open_driver, why: str):
    """A message that is discarded or stale leaves no media."""
    driver = open_driver(message_max_age=60)
    append = image("m1")
    if why == "takeover":
        await driver.store.pause(ANA, 10_000, PauseMode.TAKEOVER)
    elif why == "revoke":
        await driver.store.revoke(ANA, fingerprint_of("m1"))
    else:
        append = append._replace(order_ms=driver.clock() - 60_001)
    assert (await driver.store.append([append]))[0].status in ("discarded", "revoked", "stale")
    assert await kept(driver) == 0


@pytest.mark.parametrize("first", NAMES, ids=["phone", "lid"])
@pytest.mark.parametrize("telling", ["new message", "duplicate"])
async def test_merged_conversations(driver: ScriptDriver, first: Conversation, telling: str):
    """After a merge each message of the burst has its media, and an ack deletes all of it."""
    other = NAMES[1 - NAMES.index(first)]
    await driver.store.append([image("m1", first, b"one")])
    driver.clock.advance(1)
    await driver.store.append([image("m2", other, b"two")])
    await driver.store.append([linked("m3" if telling == "new message" else "m1")])
    where = await home(driver)
    driver.clock.advance(WINDOW_MS)
    batch = await driver.claim_batch(where)
    expected: dict[str, bytes | None] = {"m1": b"one", "m2": b"two"}
    assert media_of(batch) == expected | ({"m3": None} if telling == "new message" else {})
    await driver.store.ack(driver.ref(where), batch.token)
    assert await kept(driver) == 0
    await check_one(driver)


@pytest.mark.parametrize("first", NAMES, ids=["phone", "lid"])
async def test_copies_have_it_once(driver: ScriptDriver, first: Conversation):
    """A picture that came under both peers is kept once, and a sealed one stays with its batch."""
    other = NAMES[1 - NAMES.index(first)]
    batch = await sealed(driver, image("m1", first), to=first)
    await driver.store.append([image("m2", first), image("m1", other), image("m2", other)])
    await driver.store.append([image("m3", PHONE, alias=LID)])
    assert await kept(driver) == 3
    driver.clock.advance(LEASE_MS)
    where = await home(driver)
    again = await driver.claim_batch(where, caller="w2")
    assert render_burst(again) == render_burst(batch)
    await driver.store.ack(driver.ref(where), again.token)
    driver.clock.advance(WINDOW_MS)
    behind = await driver.claim_batch(where, caller="w3")
    assert media_of(behind) == {"m2": CONTENT, "m3": CONTENT}
    await driver.store.ack(driver.ref(where), behind.token)
    assert await kept(driver) == 0


@pytest.mark.parametrize("when", ["before the letter is asked for", "after"])
@pytest.mark.parametrize("died", NAMES, ids=["phone", "lid"])
async def test_dead_letter_of_an_alias(driver: ScriptDriver, died: Conversation, when: str):
    """A dead letter keeps its media when its conversation is merged into another, before or after its redrive."""
    batch = await sealed(driver, image("m1", died), to=died)
    await driver.fail(batch.token, "dead", to=died)
    await driver.append("m2", to=NAMES[1 - NAMES.index(died)])
    if when == "after":
        await driver.store.redrive(batch.flush_id)
        await driver.store.append([linked("m3")])
    else:
        await driver.store.append([linked("m3")])
        await driver.store.redrive(batch.flush_id)
    where = await home(driver)
    again = await driver.claim_batch(where)
    assert render_burst(again) == render_burst(batch)
    await driver.fail(again.token, "dead", to=where)
    await driver.store.redrive(batch.flush_id)
    assert render_burst(await driver.claim_batch(where, caller="w2")) == render_burst(batch)
    await driver.store.ack(driver.ref(where), (await driver.claim_batch(where, caller="w2")).token)
    assert await kept(driver) == 0
    assert said(await deliver(driver)) == ["m2", "m3"]


async def test_both_in_flight(driver: ScriptDriver):
    """After a merge of two conversations with a batch in flight each, both batches keep their media."""
    batches = {who: await sealed(driver, image(who.peer, who), to=who) for who in NAMES}
    await driver.store.append([linked("m1")])
    for who, batch in batches.items():
        await driver.fail(batch.token, "dead", to=who)
        await driver.store.redrive(batch.flush_id)
    delivered = {batch.flush_id: render_burst(batch) for batch in await deliver(driver)}
    for batch in batches.values():
        assert delivered[batch.flush_id] == render_burst(batch)
    assert await kept(driver) == 0
