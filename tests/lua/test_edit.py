"""edit: the person changed a message. Its text is replaced while it is in the open burst."""

from __future__ import annotations

import json

import pytest

from buffer.errors import StoreFull
from buffer.keys import fingerprint_of
from buffer.models import Batch, Change, Conversation, PauseMode
from tests.conversation_hash import pack_window
from tests.lua.aliases import LID, NAMES, PHONE, check_awake, check_one, deliver, floor, link
from tests.lua.driver import ANA, LEASE_MS, WINDOW_MS, ScriptDriver, ids
from tests.messages import message

DAY_MS = 86_400_000


def change(message_id: str, text: str, edited_ms: int | None = None) -> Change:
    return Change(fingerprint_of(message_id), edited_ms, json.dumps({"text": text}).encode())


async def edit(
    driver: ScriptDriver, message_id: str, text: str, edited_ms: int | None = None, to: Conversation = ANA
) -> str:
    return await driver.store.edit(to, change(message_id, text, edited_ms))


def edited(batch: Batch) -> dict[str, str | None]:
    """Return the text that the edit of each message sets, None where there was no edit."""
    texts = [stored.edit["text"] if stored.edit else None for stored in batch.messages]
    return dict(zip(ids(batch), texts, strict=True))


async def flushed(driver: ScriptDriver, to: Conversation = ANA) -> dict[str, str | None]:
    """Let the window pass and claim. Return the edits in the batch."""
    driver.clock.advance(WINDOW_MS)
    return edited(await driver.claim_batch(to))


async def test_while_buffered(driver: ScriptDriver):
    """A buffered message carries its edit behind the original, and nothing else changes, not even the deadline."""
    await driver.append("m1", "m2", "m3")
    before, wake_ms = await driver.conv(), await driver.wake_ms()
    driver.clock.advance(1_000)
    assert await edit(driver, "m2", "novo") == "changed"
    after = await driver.conv()
    assert after.pop("bytes") != before.pop("bytes")
    assert after == before
    assert await driver.wake_ms() == wake_ms
    await check_awake(driver, ANA)
    driver.clock.advance(WINDOW_MS)
    batch = await driver.claim_batch()
    assert edited(batch) == {"m1": None, "m2": "novo", "m3": None}
    assert [stored.fields["text"] for stored in batch.messages] == ["oi"] * 3


@pytest.mark.parametrize("times", [(1, 2, 3), (3, 2, 1), (2, 3, 1), (1, 3, 2), (3, 1, 2), (2, 1, 3)], ids=str)
async def test_newest_wins(driver: ScriptDriver, times: tuple[int, ...]):
    """In whatever order the edits of a buffered message arrive, the newest counts."""
    await driver.append("m1")
    newest = 0
    for at_ms in times:
        expected = "changed" if at_ms > newest else "older"
        newest = max(newest, at_ms)
        assert await edit(driver, "m1", f"edit {at_ms}", at_ms) == expected
        await check_awake(driver, ANA)
    assert await flushed(driver) == {"m1": "edit 3"}


@pytest.mark.parametrize("times", [(1, 2), (2, 1)], ids=str)
@pytest.mark.parametrize("before", [1, 2])
async def test_newest_wins_around_the_original(driver: ScriptDriver, times: tuple[int, int], before: int):
    """The newest edit counts also when some or all of them arrive before their message."""
    for n, at_ms in enumerate(times):
        if n == before:
            await driver.append("m1")
        await edit(driver, "m1", f"edit {at_ms}", at_ms)
    await driver.append("m1")
    await check_awake(driver, ANA)
    assert await flushed(driver) == {"m1": "edit 2"}


async def test_without_a_time_the_last_to_arrive_is_the_newest(driver: ScriptDriver):
    """An edit without a timestamp counts as made when it arrived."""
    await driver.append("m1")
    for text in ("um", "dois", "três"):
        driver.clock.advance(1)
        assert await edit(driver, "m1", text) == "changed"
    assert await flushed(driver) == {"m1": "três"}


async def test_same_edit_again(driver: ScriptDriver):
    """The same edit a second time changes nothing."""
    await driver.append("m1")
    await edit(driver, "m1", "novo", 5)
    before = await driver.redis.lrange(driver.key("buffer"), 0, -1)
    assert await edit(driver, "m1", "novo", 5) == "changed"
    assert await driver.redis.lrange(driver.key("buffer"), 0, -1) == before
    await check_awake(driver, ANA)


async def test_bytes_follow(open_driver):
    """The bytes of the burst include the current edit, whether it replaced another one or was pending."""
    driver = open_driver(message_buffer_max_bytes=10_000)
    await edit(driver, "m2", "x" * 500, 1)
    await driver.append("m1", "m2")
    await check_awake(driver, ANA)
    for size in (3_000, 10, 2_000):
        driver.clock.advance(1)
        await edit(driver, "m1", "x" * size)
        await check_awake(driver, ANA)
    before = int((await driver.conv())["bytes"])
    assert before > 2_500
    [last] = await driver.append("m3", text="x" * (10_000 - before))
    assert last.deadline_ms == driver.clock(), "the byte cap counts the edits"


async def test_edit_that_waits_is_part_of_the_byte_cap(open_driver):
    """A message whose pending edit exceeds the byte cap fires it."""
    driver = open_driver(message_buffer_max_bytes=300)
    await edit(driver, "m1", "x" * 300)
    [appended] = await driver.append("m1")
    assert appended.deadline_ms == driver.clock()


async def test_before_its_original(driver: ScriptDriver):
    """An edit before its message is pending, without a burst or a wake entry. The message uses it up."""
    assert await edit(driver, "m1", "novo", 7) == "early"
    assert (await driver.wake_ms(), await driver.is_idle()) == (None, True)
    assert (await driver.claim()).status == "empty"
    assert (await driver.append("m1"))[0].status == "new"
    assert await driver.redis.exists(driver.key("mark")) == 0
    assert await flushed(driver) == {"m1": "novo"}


async def test_of_one_message_only(driver: ScriptDriver):
    """A pending edit is for its own message in its own conversation."""
    await edit(driver, "m2", "novo")
    await driver.append("m1")
    await driver.append("m2", to=PHONE)
    assert await flushed(driver) == {"m1": None}
    assert edited(await driver.claim_batch(PHONE)) == {"m2": None}


@pytest.mark.parametrize("state", ["in flight", "waiting", "dead", "delivered"])
async def test_late(driver: ScriptDriver, state: str):
    """An edit after the sealing is counted and changes nothing: a redelivery carries the same bytes."""
    batch = await driver.in_flight("m1")
    if state == "waiting":
        await driver.fail(batch.token, "retry")
    elif state == "dead":
        await driver.fail(batch.token, "dead")
    elif state == "delivered":
        await driver.store.ack(driver.ref(), batch.token)
    assert await edit(driver, "m1", "tarde") == "late"
    assert (await driver.counters())["late_edits"] == 1
    assert await driver.redis.exists(driver.key("mark")) == 0
    if state == "dead":
        await driver.store.redrive(batch.flush_id)
    driver.clock.advance(LEASE_MS)
    again = await driver.claim(caller="w2")
    assert (again.status, again.batch and again.batch.messages) == (
        ("empty", None) if state == "delivered" else ("batch", batch.messages)
    )


async def test_sealed_with_its_edit(driver: ScriptDriver):
    """An edit made before the sealing is in every delivery of the batch, also after a crash and as a dead letter."""
    await driver.append("m1")
    await edit(driver, "m1", "novo")
    driver.clock.advance(WINDOW_MS)
    first = await driver.claim_batch()
    driver.clock.advance(LEASE_MS)
    second = await driver.claim_batch(caller="w2")
    await driver.fail(second.token, "dead")
    await driver.store.redrive(second.flush_id)
    third = await driver.claim_batch(caller="w3")
    assert first.messages == second.messages == third.messages
    assert edited(third) == {"m1": "novo"}


async def test_flush_id_follows_the_edit(driver: ScriptDriver):
    """After a failover that lost an edit and the seal, other bytes get another flush_id."""
    await driver.append("m1")
    before = await driver.redis.dump(driver.key("buffer"))
    await edit(driver, "m1", "novo")
    driver.clock.advance(WINDOW_MS)
    first = await driver.claim_batch()
    await driver.store.ack(driver.ref(), first.token)
    await driver.clean()
    await driver.append("m1")
    driver.clock.now_ms = first.closed_ms
    await driver.redis.restore(driver.key("buffer"), 0, before, replace=True)
    window = pack_window(first.opened_ms, first.closed_ms, 100, 1)
    await driver.redis.hset(driver.key("conv"), "window", window)
    second = await driver.claim_batch(caller="w2")
    assert (second.closed_ms, second.opened_ms) == (first.closed_ms, first.opened_ms)
    assert second.flush_id != first.flush_id


async def test_behind_a_batch_in_flight(driver: ScriptDriver):
    """While a batch is in flight, a message of the next burst can be edited."""
    batch = await driver.in_flight("m1")
    await driver.append("m2")
    assert await edit(driver, "m2", "novo") == "changed"
    await driver.store.ack(driver.ref(), batch.token)
    assert await flushed(driver) == {"m2": "novo"}


async def test_redelivered_original_does_not_undo_it(driver: ScriptDriver):
    """A message that comes again after its edit is a duplicate, and the edit stays."""
    await driver.append("m1")
    await edit(driver, "m1", "novo")
    assert (await driver.append("m1"))[0].status == "duplicate"
    assert await flushed(driver) == {"m1": "novo"}


async def test_of_a_discarded_message(driver: ScriptDriver):
    """An edit of a discarded message is late and is not kept."""
    await driver.append("m1")
    await driver.store.discard(ANA)
    assert await edit(driver, "m1", "novo") == "late"
    await driver.store.pause(ANA, 10_000, PauseMode.TAKEOVER)
    await driver.append("m2")
    assert await edit(driver, "m2", "novo") == "late"
    assert await driver.redis.exists(driver.key("mark")) == 0


async def test_held_message(driver: ScriptDriver):
    """While a pause holds the conversation, its messages can be edited."""
    until_ms = await driver.store.pause(ANA, 30_000)
    await driver.append("m1")
    assert await edit(driver, "m1", "novo") == "changed"
    assert await driver.wake_ms() == until_ms
    driver.clock.now_ms = until_ms
    assert edited(await driver.claim_batch()) == {"m1": "novo"}


@pytest.mark.parametrize("by", NAMES, ids=["phone", "lid"])
@pytest.mark.parametrize("said_by", NAMES, ids=["said by phone", "said by lid"])
async def test_by_alias(driver: ScriptDriver, said_by: Conversation, by: Conversation):
    """An edit finds its message by either peer of the person, before and after the append."""
    await link(driver, "m0")
    assert await edit(driver, "m2", "antes", to=by) == "early"
    await driver.append("m1", "m2", to=said_by)
    assert await edit(driver, "m1", "depois", to=by) == "changed"
    kept = await check_one(driver)
    assert await flushed(driver, kept) == {"m0": None, "m1": "depois", "m2": "antes"}


@pytest.mark.parametrize("first", NAMES, ids=["phone first", "lid first"])
async def test_merged_conversations(driver: ScriptDriver, first: Conversation):
    """Edits in place or pending are neither lost nor mixed up when two conversations are merged."""
    other = NAMES[1 - NAMES.index(first)]
    await driver.append("m1", to=first)
    await edit(driver, "m1", "no lugar", to=first)
    await edit(driver, "m2", "espera", 9, to=other)
    await edit(driver, "m3", "velha", 3, to=first)
    await edit(driver, "m3", "nova", 4, to=other)
    await link(driver, "m0")
    kept = await check_one(driver)
    await driver.append("m2", "m3", to=first)
    await check_one(driver)
    [batch] = await deliver(driver)
    assert edited(batch) == {"m1": "no lugar", "m0": None, "m2": "espera", "m3": "nova"}
    assert await driver.redis.exists(driver.key("mark", kept)) == 0


@pytest.mark.parametrize("first", NAMES, ids=["phone first", "lid first"])
async def test_pending_under_one_name_only(driver: ScriptDriver, first: Conversation):
    """A pending edit of the dropped conversation is found by its message under the other peer."""
    await driver.append("m1", to=first)
    await edit(driver, "m2", "espera", to=NAMES[1 - NAMES.index(first)])
    await link(driver, "m3", first, NAMES[1 - NAMES.index(first)])
    assert await check_one(driver) == first
    await driver.append("m2", to=first)
    [batch] = await deliver(driver)
    assert edited(batch) == {"m1": None, "m3": None, "m2": "espera"}


async def test_many_bytes(driver: ScriptDriver):
    """The edit is found for any bytes in fingerprint, album and payload."""
    awkward = message("m1", ANA, payload=b'{"message_id":"m1","text":"a\\nb"}')._replace(
        fingerprint=b"\n" * 8, album=b"\n\x00\n\n"
    )
    await driver.store.append([awkward])
    for n in (1, 2):
        patch = json.dumps({"text": f"linha\n{n}\0"}).encode()
        assert await driver.store.edit(ANA, Change(awkward.fingerprint, n, patch)) == "changed"
    assert await flushed(driver) == {"m1": "linha\n2\0"}


async def test_edit_that_waits_in_vain_is_forgotten(driver: ScriptDriver):
    """An edit whose message never comes is swept with its conversation, one DEDUPE_TTL after the edit."""
    batch = await driver.in_flight("m1")
    await driver.store.ack(driver.ref(), batch.token)
    driver.clock.advance(7 * DAY_MS - 1)
    await edit(driver, "m2", "novo")
    driver.clock.advance(1)
    assert await driver.store.sweep(0) == 0
    await edit(driver, "m1", "novo", to=PHONE)
    driver.clock.advance(8 * DAY_MS)
    assert await driver.store.sweep(0) == 2
    assert floor(await driver.all_keys()) == {"history"}


async def test_full_server(driver: ScriptDriver):
    """A full server refuses an edit, and nothing of it is stored."""
    await driver.append("m1")
    before = await driver.redis.dump(driver.key("buffer")), await driver.conv()
    await driver.redis.config_set("maxmemory", "1")
    try:
        for message_id in ("m1", "m2"):
            with pytest.raises(StoreFull):
                await edit(driver, message_id, "novo")
    finally:
        await driver.redis.config_set("maxmemory", "0")
    assert (await driver.redis.dump(driver.key("buffer")), await driver.conv()) == before
    assert await driver.redis.exists(driver.key("mark")) == 0


@pytest.mark.parametrize("mark", ["edit", "revoke"])
async def test_full_server_refuses_a_message_with_a_pending_change(driver: ScriptDriver, mark: str):
    """A full server refuses a message with a pending change, and the change stays pending."""
    if mark == "edit":
        await edit(driver, "m1", "novo")
    else:
        await driver.store.revoke(ANA, fingerprint_of("m1"))
    await driver.redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(StoreFull):
            await driver.append("m1")
    finally:
        await driver.redis.config_set("maxmemory", "0")
    assert await driver.redis.exists(driver.key("mark")) == 1
    assert [a.status for a in await driver.append("m1")] == ["new" if mark == "edit" else "revoked"]
    assert await driver.redis.exists(driver.key("mark")) == 0


async def test_lid_is_only_another_name(driver: ScriptDriver):
    """An edit under a LID that is no known alias does not touch the message of the phone."""
    await driver.append("m1", to=PHONE)
    assert await edit(driver, "m1", "novo", to=LID) == "early"
    assert await flushed(driver, PHONE) == {"m1": None}
