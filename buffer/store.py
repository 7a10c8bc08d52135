"""The buffer store: every operation on conversations, as one atomic script call each."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from itertools import chain
from typing import Any, TypeVar

import redis.asyncio
from redis.exceptions import RedisError

from buffer import scripts
from buffer.errors import NotDurable, StoreUnavailable, store_error
from buffer.keys import Keys, Ref, ref_of
from buffer.models import Append, Appended, Change, Claim, Conversation, Dispatched, Failure, Outcome, PauseMode
from buffer.phone_numbers import canonical_phone
from buffer.transport.autopipeline import AutoPipeline
from buffer.transport.clients import AsyncClient
from buffer.transport.coalescer import CallCoalescer
from buffer.transport.connection import ReplyReceiver
from buffer.transport.durability import durability_wait
from buffer.transport.multiplexer import Multiplexer
from config.settings import Settings

DISPATCH_MAX = 1000
"""Conversations of one dispatch call: Lua can return some thousand values at once, not any number."""

CONVERSATIONS_PER_CALL = 50
"""Conversations of one repair or sweep call: whatever else Redis has to do waits for it, so it takes below 1 ms."""

PAUSE_MS = 3_600_000
RESEND_WAIT_S = 0.05

T = TypeVar("T")
Clock = Callable[[], int]

ResolvedAppend = tuple[Ref, Ref | None, Append]
"""A message, and what its conversation and the person's other name are called here."""


class Store:
    """The operations of design §4; raises StoreUnavailable, StoreFull or StoreError.

    `clock` is for tests: milliseconds that replace the server's own time.
    """

    def __init__(self, client: AsyncClient, settings: Settings, clock: Clock | None = None) -> None:
        self.client = client
        self.settings = settings
        self.keys = Keys(settings.redis_key_prefix)
        self._scripts = _make_transport(client, settings)
        self._claims = self._coalesce("claim", partial(scripts.claim_args, settings=settings))
        self._renewals = self._coalesce("renew", partial(scripts.renew_args, settings=settings))
        self._answers = self._coalesce("answered", scripts.answered_args)
        self._acks = self._coalesce("ack", scripts.ack_args)
        self._clock = clock
        self._canonical = settings.canonical_phones
        self._partitions = settings.redis_partitions

    def ref(self, conversation: Conversation) -> Ref:
        """The reference of a conversation in this installation, before aliases are resolved."""
        gateway, channel, peer = conversation
        if self._canonical:
            peer = canonical_phone(gateway, peer)
        return ref_of((gateway, channel, peer), self._partitions)

    async def append(self, messages: Sequence[Append]) -> list[Appended]:
        """Store messages, one script call per partition; results in the order of the messages."""
        if not messages:
            return []
        named = self._resolve(messages)
        if len({ref.partition for ref, _, _ in named}) == 1:
            return await self._append(named[0][0].partition, named)
        lots: dict[int, list[int]] = defaultdict(list)
        for index, (ref, _, _) in enumerate(named):
            lots[ref.partition].append(index)
        replies = await asyncio.gather(
            *(self._append(partition, [named[index] for index in indexes]) for partition, indexes in lots.items())
        )
        found = dict(zip(chain.from_iterable(lots.values()), chain.from_iterable(replies), strict=True))
        return [found[index] for index in range(len(messages))]

    def send_append(self, messages: Sequence[Append], results: ReplyReceiver[list[Appended]]) -> bool:
        """Send messages of one partition in this very moment; False when that takes more, and `append` has to do it.

        `results` hears what `append` returns. After an error, `append` the same again: it knows what can be mended.
        """
        named = self._resolve(messages)
        partition = named[0][0].partition
        if not isinstance(self._scripts, Multiplexer) or any([ref.partition != partition for ref, _, _ in named]):
            return False
        args = scripts.append_args(partition, named, self.settings)
        return self._scripts.send(*self._call("append", partition, args), _AppendReplyDecoder(results))

    def _resolve(self, messages: Sequence[Append]) -> list[ResolvedAppend]:
        return [
            (self.ref(message.conversation), self.ref(message.alias) if message.alias else None, message)
            for message in messages
        ]

    async def _append(self, partition: int, messages: Sequence[ResolvedAppend]) -> list[Appended]:
        args = scripts.append_args(partition, messages, self.settings)
        return scripts.read_append(await self._run("append", partition, args))

    async def extend(self, conversation: Conversation) -> int:
        """The person is typing: move the deadline of an open burst; returns it in ms, 0 when nothing changed."""
        ref = self.ref(conversation)
        return int(await self._run("extend", ref.partition, scripts.extend_args(ref, self.settings)))

    async def edit(self, conversation: Conversation, change: Change) -> str:
        """Replace a message's text while it is buffered; `changed`, `older`, `late` or `early` (lua/edit.lua)."""
        ref = self.ref(conversation)
        args = scripts.edit_args(ref, conversation, change, self.settings)
        return str((await self._run("edit", ref.partition, args)).decode())

    async def revoke(self, conversation: Conversation, fingerprint: bytes) -> str:
        """Take a message out of the open burst; `removed`, `late` or `early` (lua/revoke.lua)."""
        ref = self.ref(conversation)
        args = scripts.revoke_args(ref, conversation, fingerprint, self.settings)
        return str((await self._run("revoke", ref.partition, args)).decode())

    async def dispatch(self, partition: int, limit: int) -> Dispatched:
        """Hand out what is due in a partition, oldest first, out of sight for the visibility time."""
        args = scripts.dispatch_args(min(limit, DISPATCH_MAX), self.settings)
        return scripts.read_dispatch(partition, await self._run("dispatch", partition, args))

    async def claim(self, ref: Ref, caller: str) -> Claim:
        """Take the lease on a conversation's batch; `caller` is the same random id when a claim is repeated."""
        return scripts.read_claim(ref, await self._claims.call(ref.partition, (ref.hash, caller)))

    async def renew(self, ref: Ref, token: str) -> Outcome:
        """Keep a lease for another FLUSH_LEASE; ok, lost or cancelled."""
        return _outcome(await self._renewals.call(ref.partition, (ref.hash, token)))

    async def answered(self, ref: Ref, token: str, answer: bytes) -> Outcome:
        """Keep the agent's answer under the lease; ok, lost or cancelled."""
        return _outcome(await self._answers.call(ref.partition, (ref.hash, token, answer)))

    async def ack(self, ref: Ref, token: str) -> Outcome:
        """The agent accepted the batch; ok, lost or cancelled."""
        return _outcome(await self._acks.call(ref.partition, (ref.hash, token)))

    async def fail(self, ref: Ref, token: str, error: str, *, delay_ms: int, dead: bool = False) -> Outcome:
        """The attempt failed: retry after `delay_ms`, or dead letter; ok, dead, lost or cancelled."""
        return await self._fail(ref, token, Failure("dead" if dead else "retry", delay_ms, error))

    async def release(self, ref: Ref, token: str, delay_ms: int = 0) -> Outcome:
        """Hand a batch back without counting an attempt; ok, lost or cancelled."""
        return await self._fail(ref, token, Failure("release", delay_ms, ""))

    async def flush_now(self, conversation: Conversation) -> int:
        """Close an open burst at once; returns how many messages it holds."""
        ref = self.ref(conversation)
        return int(await self._run("flush_now", ref.partition, [ref.hash]))

    async def discard(self, conversation: Conversation, cause: str = "operator") -> tuple[int, bool]:
        """Throw away what a conversation holds; returns (messages discarded, batch in flight cancelled)."""
        ref = self.ref(conversation)
        discarded, cancelled = await self._run("discard", ref.partition, [ref.hash, cause])
        return int(discarded), bool(cancelled)

    async def redrive(self, flush_id: str) -> str:
        """Deliver a dead letter again; `ok`, `already` or `unknown`; raises ValueError for no flush_id."""
        ref = Ref.parse(flush_id)
        reply = await self._run("redrive", ref.partition, [flush_id])
        return str(reply.decode())

    async def pause(
        self, conversation: Conversation, pause_ms: int = PAUSE_MS, mode: PauseMode = PauseMode.HOLD
    ) -> int:
        """Hold a conversation, or leave it to a human, until a given end; returns that moment in ms."""
        ref = self.ref(conversation)
        args = scripts.pause_args(ref, conversation, pause_ms, mode.value)
        return int(await self._run("pause", ref.partition, args))

    async def resume(self, conversation: Conversation) -> bool:
        """End a pause now; returns whether there was one."""
        ref = self.ref(conversation)
        return bool(await self._run("resume", ref.partition, [ref.hash]))

    async def sweep(self, partition: int) -> int:
        """Forget conversations idle for longer than DEDUPE_TTL, a bounded number; returns how many."""
        return int(await self._run("sweep", partition, [self.settings.dedupe_ttl_ms, CONVERSATIONS_PER_CALL]))

    async def repair(self, partition: int, rests: float = 0.0) -> tuple[int, int]:
        """Compare every conversation with the wake index; returns (entries put back, entries dropped).

        After a lot a rest, `rests` times as long as the lot took, leaves the server to the flushes, however busy it is.
        """
        back = dropped = 0
        began = time.monotonic()
        async for names in self._names(partition):
            added, removed = await self._run("repair", partition, names)
            back, dropped = back + int(added), dropped + int(removed)
            await asyncio.sleep(rests * (time.monotonic() - began))
            began = time.monotonic()
        return back, dropped

    async def _names(self, partition: int) -> AsyncIterator[list[Any]]:
        """The hashes of all conversations that have a conv hash or a wake entry, in handy lots."""
        prefix = self.keys.of(partition, "conv", "")
        lot: list[Any] = []
        async for key in self.client.scan_iter(match=prefix + "*", count=CONVERSATIONS_PER_CALL * 5):
            lot.append(key.decode().removeprefix(prefix))
            if len(lot) >= CONVERSATIONS_PER_CALL:
                yield lot
                lot = []
        async for name, _ in self.client.zscan_iter(self.keys.of(partition, "wake"), count=CONVERSATIONS_PER_CALL):
            lot.append(name.decode())
            if len(lot) >= CONVERSATIONS_PER_CALL:
                yield lot
                lot = []
        if lot:
            yield lot

    async def snapshot(self, partition: int, limit: int = 50) -> dict[str, Any]:
        """What a partition holds, with its `limit` soonest conversations; the fields stand in lua/snapshot.lua."""
        return scripts.read_snapshot(await self._run("snapshot", partition, [limit]))

    async def load_scripts(self) -> None:
        """Make sure the server knows every script; cheap when it does."""
        try:
            known = await self.client.script_exists(*(scripts.script(verb).sha for verb in scripts.VERBS))
            for verb, there in zip(scripts.VERBS, known, strict=True):
                if not there:
                    await self.client.script_load(scripts.script(verb).source)
        except (RedisError, OSError) as error:
            raise store_error(error) from error

    async def close(self) -> None:
        """Close the connections."""
        if isinstance(self._scripts, Multiplexer):
            await self._scripts.close()
        await self.client.aclose()

    async def _fail(self, ref: Ref, token: str, failure: Failure) -> Outcome:
        args = scripts.fail_args(ref, token, failure, self.settings)
        return _outcome(await self._run("fail", ref.partition, args))

    def _coalesce(self, verb: str, encode: Callable[[list[Any]], list[Any]]) -> CallCoalescer[Any, Any]:
        return CallCoalescer(verb, partial(self._run_coalesced, verb, encode))

    async def _run_coalesced(
        self, verb: str, encode: Callable[[list[Any]], list[Any]], partition: int, items: list[Any]
    ) -> Any:
        return await self._run(verb, partition, encode(items))

    async def _run(self, verb: str, partition: int, args: list[Any]) -> Any:
        return await self._scripts.call(*self._call(verb, partition, args))

    def _call(self, verb: str, partition: int, args: list[Any]) -> tuple[scripts.Script, str, list[Any]]:
        now: int | str = self._clock() if self._clock else ""
        return scripts.script(verb), self.keys.root(partition), [now, *args]


class _AppendReplyDecoder:
    """Reads the reply to an append for whoever waits for its results."""

    __slots__ = ("_results",)

    def __init__(self, results: ReplyReceiver[list[Appended]]) -> None:
        self._results = results

    def done(self) -> bool:
        """Whether nobody waits any more."""
        return self._results.done()

    def set_result(self, reply: Sequence[Any]) -> None:
        """The messages are stored."""
        self._results.set_result(scripts.read_append(reply))

    def set_exception(self, error: Exception) -> None:
        """They may not be."""
        self._results.set_exception(store_error(error))


def _make_transport(client: AsyncClient, settings: Settings) -> Multiplexer | AutoPipeline:
    """A line, unless there are several servers, or calls that hold up their connection until they are confirmed."""
    wait = durability_wait(settings)
    if wait is None and isinstance(client, redis.asyncio.Redis):
        return Multiplexer(client.connection_pool)
    return AutoPipeline(client, wait)


def _outcome(reply: bytes) -> Outcome:
    return Outcome(reply.decode())


async def retry_unavailable(operation: Callable[[], Awaitable[T]], within_s: float) -> T:
    """Repeat an operation that met an unavailable server, for `within_s` seconds; every operation here may be.

    A lost reply is invisible to the caller: append knows its nonce again, claim its caller, the others their token.
    What was not confirmed has had its time (DURABILITY_TIMEOUT): its sender is the one to repeat it.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + within_s
    while True:
        try:
            return await operation()
        except NotDurable:
            raise
        except StoreUnavailable:
            if loop.time() + RESEND_WAIT_S >= until:
                raise
            await asyncio.sleep(RESEND_WAIT_S)
