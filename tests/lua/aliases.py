"""A person with two aliases: append under either of them, and check that both are one conversation."""

from __future__ import annotations

from typing import Any

from buffer.models import Append, Batch, Conversation
from buffer.stored_message import ENTRY_HEADER_SIZE
from tests.lua.driver import ScriptDriver, ids
from tests.messages import message

PHONE = Conversation("evolution", "loja", "5511900000001")
LID = Conversation("evolution", "loja", "900000000000001@lid")
NAMES = (PHONE, LID)
OWN_KEYS = ("conv", "buffer", "batch", "seen", "slabs", "timer", "lock", "media", "mark", "memory", "redrive")
TOTALS = ("counters", "tally", "channels", "uncounted")
DELIVERIES_MAX = 50


def linked(message_id: str, to: Conversation = PHONE, alias: Conversation = LID, **fields: Any) -> Append:
    """Return a message that names an alias of its sender."""
    return message(message_id, to, **fields)._replace(alias=alias)


async def link(driver: ScriptDriver, message_id: str, to: Conversation = PHONE, alias: Conversation = LID) -> str:
    """Append one message that names an alias. Return its status."""
    return (await driver.store.append([linked(message_id, to, alias)]))[0].status


async def home(driver: ScriptDriver, *names: Conversation) -> Conversation:
    """Return the conversation that all names resolve to."""
    by_hash = {driver.ref(name).hash: name for name in names or NAMES}
    found = {await _leads_to(driver, own) for own in by_hash}
    assert len(found) == 1, f"several conversations: {found}"
    return by_hash[found.pop()]


async def _leads_to(driver: ScriptDriver, own: str) -> str:
    other = await driver.redis.hget(driver.partition_key("alias"), own)
    return other.decode() if other else own


async def check_one(driver: ScriptDriver, *names: Conversation) -> Conversation:
    """Return the conversation of the person. Check that its aliases have no keys and no index entries."""
    kept = await home(driver, *names)
    for name in names or NAMES:
        if name != kept:
            assert [kind for kind in OWN_KEYS if await driver.redis.exists(driver.key(kind, name))] == []
            assert (await driver.wake_ms(name), await driver.is_idle(name)) == (None, False)
    await check_awake(driver, kept)
    return kept


async def check_awake(driver: ScriptDriver, name: Conversation) -> None:
    """Check that a conversation that holds something or is paused is only awake, and any other only idle."""
    conv = await driver.conv(name)
    holds = {"opened_ms", "flush_id", "redrive", "paused_until_ms"} & set(conv)
    awake = await driver.wake_ms(name) is not None
    assert (awake, await driver.is_idle(name)) == (bool(holds), not holds), f"{holds}"
    assert ("opened_ms" in conv) == (await driver.depth(name) > 0)
    if "opened_ms" in conv:
        entries = await driver.redis.lrange(driver.key("buffer", name), 0, -1)
        assert int(conv["depth"]) == len(entries)
        assert int(conv["bytes"]) == sum(len(entry) - ENTRY_HEADER_SIZE for entry in entries)


async def deliver(driver: ScriptDriver, *names: Conversation) -> list[Batch]:
    """Let time pass until everything is delivered by one worker. Return the batches in order."""
    by_ref = {driver.ref(name): name for name in names or NAMES}
    done: list[Batch] = []
    for _ in range(DELIVERIES_MAX):
        scores = [at_ms for name in by_ref.values() if (at_ms := await driver.wake_ms(name)) is not None]
        if not scores:
            return done
        driver.clock.now_ms = max(driver.clock.now_ms, min(scores))
        for due in await driver.dispatch():
            claim = await driver.claim(by_ref[due], f"worker-{len(done)}")
            if claim.batch:
                assert await driver.store.ack(driver.ref(by_ref[due]), claim.batch.token) == "ok"
                done.append(claim.batch)
    raise AssertionError(f"never empty: {await driver.all_keys()}")


def said(batches: list[Batch]) -> list[str]:
    """Return the message ids of batches, in order."""
    return [message_id for batch in batches for message_id in ids(batch)]


def contents(batch: Batch) -> dict[str, object]:
    """Return the fields that the agent's request is made of. They must be equal at every attempt."""
    changing = ("token", "attempt", "failures", "crashes", "answer")
    return {name: getattr(batch, name) for name in batch._fields if name not in changing}


def floor(keys: list[str]) -> set[str]:
    """Return the keys without their partition, but not those of the totals. After a sweep only the history is left."""
    names = {key.partition("}:")[2] for key in keys}
    return {name for name in names if name.partition(":")[0] not in TOTALS}
