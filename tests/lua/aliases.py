"""One person with several names: to say something under two of them, and to see that they are one conversation."""

from __future__ import annotations

from typing import Any

from buffer.models import Append, Batch, Conversation
from buffer.scripts import ENTRY_HEADER
from tests.lua.driver import Desk, ids
from tests.messages import message

PHONE = Conversation("evolution", "loja", "5511900000001")
LID = Conversation("evolution", "loja", "900000000000001@lid")
NAMES = (PHONE, LID)
OWN_KEYS = ("conv", "buffer", "batch", "seen", "timer", "lock", "media", "mark", "redrive")
DELIVERIES_MAX = 50


def linked(message_id: str, to: Conversation = PHONE, twin: Conversation = LID, **fields: Any) -> Append:
    """A message that tells two names of its sender."""
    return message(message_id, to, **fields)._replace(twin=twin)


async def link(desk: Desk, message_id: str, to: Conversation = PHONE, twin: Conversation = LID) -> str:
    """Append one message that tells two names; its status."""
    return (await desk.store.append([linked(message_id, to, twin)]))[0].status


async def home(desk: Desk, *names: Conversation) -> Conversation:
    """The one name of the person under which the conversation lies."""
    by_hash = {desk.ref(name).hash: name for name in names or NAMES}
    found = {await _leads_to(desk, own) for own in by_hash}
    assert len(found) == 1, f"several conversations: {found}"
    return by_hash[found.pop()]


async def _leads_to(desk: Desk, own: str) -> str:
    other = await desk.redis.hget(desk.partition_key("alias"), own)
    return other.decode() if other else own


async def check_one(desk: Desk, *names: Conversation) -> Conversation:
    """The conversation of the person; the other names have left nothing, and it is awake or idle as it must be."""
    kept = await home(desk, *names)
    for name in names or NAMES:
        if name != kept:
            assert [kind for kind in OWN_KEYS if await desk.redis.exists(desk.key(kind, name))] == []
            assert (await desk.wake_ms(name), await desk.is_idle(name)) == (None, False)
    await check_awake(desk, kept)
    return kept


async def check_awake(desk: Desk, name: Conversation) -> None:
    """A conversation that holds something or is paused is in the wake index only, any other in the idle index only."""
    conv = await desk.conv(name)
    holds = {"opened_ms", "flush_id", "redrive", "paused_until_ms"} & set(conv)
    awake = await desk.wake_ms(name) is not None
    assert (awake, await desk.is_idle(name)) == (bool(holds), not holds), f"{holds}"
    assert ("opened_ms" in conv) == (await desk.depth(name) > 0)
    if "opened_ms" in conv:
        entries = await desk.redis.lrange(desk.key("buffer", name), 0, -1)
        assert int(conv["depth"]) == len(entries)
        assert int(conv["bytes"]) == sum(len(entry) - ENTRY_HEADER for entry in entries)


async def deliver(desk: Desk, *names: Conversation) -> list[Batch]:
    """Let time pass until everything is delivered, as one worker does; the batches in their order."""
    by_ref = {str(desk.ref(name)): name for name in names or NAMES}
    done: list[Batch] = []
    for _ in range(DELIVERIES_MAX):
        scores = [at_ms for name in by_ref.values() if (at_ms := await desk.wake_ms(name)) is not None]
        if not scores:
            return done
        desk.clock.now_ms = max(desk.clock.now_ms, min(scores))
        for due in await desk.due():
            claim = await desk.claim(by_ref[due], f"worker-{len(done)}")
            if claim.batch:
                assert await desk.store.ack(desk.ref(by_ref[due]), claim.batch.token) == "ok"
                done.append(claim.batch)
    raise AssertionError(f"never empty: {await desk.all_keys()}")


def said(batches: list[Batch]) -> list[str]:
    """The message ids of batches, in their order."""
    return [message_id for batch in batches for message_id in ids(batch)]


def contents(batch: Batch) -> dict[str, object]:
    """What the agent gets is made of this: it must be the same at every attempt."""
    changing = ("token", "attempt", "failures", "answer", "ref")
    return {name: getattr(batch, name) for name in batch._fields if name not in changing}


def floor(keys: list[str]) -> set[str]:
    """What lies there, without the partition: after a sweep only totals and history."""
    return {key.partition("}:")[2] for key in keys}
