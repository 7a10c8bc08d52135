"""One person with several names: to say something under two of them, and to see that they are one conversation."""

from __future__ import annotations

from typing import Any

from buffer.models import Append, Batch, Conversation
from buffer.stored_message import ENTRY_HEADER_SIZE
from tests.lua.driver import ScriptDriver, ids
from tests.messages import message

PHONE = Conversation("evolution", "loja", "5511900000001")
LID = Conversation("evolution", "loja", "900000000000001@lid")
NAMES = (PHONE, LID)
OWN_KEYS = ("conv", "buffer", "batch", "seen", "timer", "lock", "media", "mark", "redrive")
DELIVERIES_MAX = 50


def linked(message_id: str, to: Conversation = PHONE, alias: Conversation = LID, **fields: Any) -> Append:
    """A message that tells two names of its sender."""
    return message(message_id, to, **fields)._replace(alias=alias)


async def link(driver: ScriptDriver, message_id: str, to: Conversation = PHONE, alias: Conversation = LID) -> str:
    """Append one message that tells two names; its status."""
    return (await driver.store.append([linked(message_id, to, alias)]))[0].status


async def home(driver: ScriptDriver, *names: Conversation) -> Conversation:
    """The one name of the person under which the conversation lies."""
    by_hash = {driver.ref(name).hash: name for name in names or NAMES}
    found = {await _leads_to(driver, own) for own in by_hash}
    assert len(found) == 1, f"several conversations: {found}"
    return by_hash[found.pop()]


async def _leads_to(driver: ScriptDriver, own: str) -> str:
    other = await driver.redis.hget(driver.partition_key("alias"), own)
    return other.decode() if other else own


async def check_one(driver: ScriptDriver, *names: Conversation) -> Conversation:
    """The conversation of the person; the other names have left nothing, and it is awake or idle as it must be."""
    kept = await home(driver, *names)
    for name in names or NAMES:
        if name != kept:
            assert [kind for kind in OWN_KEYS if await driver.redis.exists(driver.key(kind, name))] == []
            assert (await driver.wake_ms(name), await driver.is_idle(name)) == (None, False)
    await check_awake(driver, kept)
    return kept


async def check_awake(driver: ScriptDriver, name: Conversation) -> None:
    """A conversation that holds something or is paused is in the wake index only, any other in the idle index only."""
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
    """Let time pass until everything is delivered, as one worker does; the batches in their order."""
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
    """The message ids of batches, in their order."""
    return [message_id for batch in batches for message_id in ids(batch)]


def contents(batch: Batch) -> dict[str, object]:
    """What the agent gets is made of this: it must be the same at every attempt."""
    changing = ("token", "attempt", "failures", "answer")
    return {name: getattr(batch, name) for name in batch._fields if name not in changing}


def floor(keys: list[str]) -> set[str]:
    """What lies there, without the partition: after a sweep only totals and history."""
    return {key.partition("}:")[2] for key in keys}
