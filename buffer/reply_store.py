"""The operations on the parts of answers, each one atomic script call."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

from redis.exceptions import RedisError

from buffer import reply_calls
from buffer.errors import store_error
from buffer.keys import Ref
from buffer.models import Conversation
from buffer.reply_models import (
    Began,
    DoubtResult,
    Doubts,
    Ending,
    HeldChannel,
    OwnMessage,
    OwnMessageResult,
    PartOutcome,
    SendLimits,
    Status,
)
from buffer.store import Store
from buffer.transport.coalescer import CallCoalescer

CHANNELS_AT_ONCE = 100
"""Channels of one read. A read of many delays the webhooks of this process, and all others at Redis."""


class Replies:
    """The operations on the parts of answers in a store. Each may raise StoreUnavailable, StoreFull or StoreError."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @cached_property
    def _begins(self) -> CallCoalescer[Any, Any]:
        return self._store.coalesce("begin_part", reply_calls.begin_part_args)

    @cached_property
    def _ends(self) -> CallCoalescer[Any, Any]:
        return self._store.coalesce("end_part", reply_calls.end_part_args)

    async def begin_part(  # noqa: PLR0913, PLR0917 - a part is named by all of these
        self, ref: Ref, token: str, number: int, conversation: Conversation, own_id: str | None, limits: SendLimits
    ) -> Began:
        """Mark a part as `sending`, if it may leave now. Only after the mark `send` its request may leave.

        `own_id` is the id or mark of ours in the request. A repeated call returns the same.
        """
        tag = reply_calls.tag_of(conversation.gateway, conversation.channel)
        item = (ref.hash, token, number, reply_calls.id_of(own_id), tag, limits)
        return reply_calls.read_begin_part(await self._begins.call(ref.partition, item))

    async def end_part(
        self, ref: Ref, token: str, number: int, conversation: Conversation, ending: Ending
    ) -> PartOutcome:
        """Report how the sending of a part ended. A repeated call returns the same."""
        tag = reply_calls.tag_of(conversation.gateway, conversation.channel)
        item = (ref.hash, token, number, tag, ending)
        return reply_calls.read_end_part(await self._ends.call(ref.partition, item))

    async def own_message(self, message: OwnMessage) -> OwnMessageResult:
        """Find out whether a message from our own number is a part of ours. If not, obey its keyword, or pause."""
        ref = self._store.ref(message.conversation)
        args = reply_calls.own_message_args(ref, message)
        return reply_calls.read_own_message(await self._store.run("own_message", ref.partition, args))

    async def part_status(self, gateway: str, channel: str, status: Status) -> str | None:
        """Note what became of a part. Returns the part as `<flush_id>.<part>`, or None if the id is not of one."""
        partition = self._store.ref(Conversation(gateway, channel, "")).partition
        args = reply_calls.part_status_args(gateway, channel, status)
        return reply_calls.read_part_status(await self._store.run("part_status", partition, args))

    async def doubts(self, partition: int, offset: int = 0, limit: int = 50) -> Doubts:
        """Return a page of the parts in doubt of a partition, oldest first."""
        args = reply_calls.doubts_args(offset, limit)
        return reply_calls.read_doubts(await self._store.run("doubts", partition, args))

    async def settle_doubt(self, doubt_id: str, action: Literal["send", "drop"]) -> DoubtResult:
        """Send a part in doubt again, or drop it with a record. Raises ValueError if `doubt_id` is none."""
        partition = Ref.parse(doubt_id).partition
        args = reply_calls.settle_doubt_args(doubt_id, action)
        return reply_calls.read_settle_doubt(await self._store.run("settle_doubt", partition, args))

    async def held_channels(self, channels: Sequence[tuple[str, str]]) -> list[HeldChannel]:
        """Return those of the channels, each a gateway and a name, whose replies are held."""
        held: list[HeldChannel] = []
        for start in range(0, len(channels), CHANNELS_AT_ONCE):
            held += await self._held_of(channels[start : start + CHANNELS_AT_ONCE])
        return held

    async def _held_of(self, channels: Sequence[tuple[str, str]]) -> list[HeldChannel]:
        pipeline = self._store.client.pipeline(transaction=False)
        for gateway, channel in channels:
            partition = self._store.ref(Conversation(gateway, channel, "")).partition
            key = self._store.keys.of(partition, "held", reply_calls.tag_of(gateway, channel))
            pipeline.hmget(key, list(reply_calls.HELD_FIELDS))
        try:
            rows = await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as error:
            raise store_error(error) from error
        return [reply_calls.held_channel_of(*of, row) for of, row in zip(channels, rows, strict=True) if _is_held(row)]


def _is_held(row: object) -> bool:
    """Return True for the fields of a held channel. Any other channel, and a key that cannot be read, has none."""
    return isinstance(row, list) and row[0] is not None
