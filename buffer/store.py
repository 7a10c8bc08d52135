"""The buffer store: every operation on conversations, each one atomic script call."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from redis.exceptions import RedisError

from buffer import operator_calls, script_calls, scripts
from buffer.append_results import AppendReplyDecoder, in_message_order
from buffer.errors import store_error
from buffer.key_scan import conversation_hashes
from buffer.keys import Keys, Ref, ref_of
from buffer.models import (
    Append,
    Appended,
    Change,
    Claim,
    Conversation,
    Dispatched,
    EditResult,
    Failure,
    Outcome,
    PauseMode,
    RevokeResult,
)
from buffer.operator_models import DeadLetters, DiscardLetterResult, Pending, RedriveResult
from buffer.phone_numbers import canonical_phone
from buffer.presence import PresenceKind
from buffer.rules import AppendRules, append_rules
from buffer.script_calls import Args, ResolvedAppend
from buffer.transport.clients import AsyncClient
from buffer.transport.coalescer import CallCoalescer
from buffer.transport.connection import ReplyReceiver
from buffer.transport.factory import make_transport
from buffer.transport.multiplexer import Multiplexer
from config.settings import Settings

DISPATCH_MAX = 1000
"""Conversations of one dispatch call at most: Lua returns a few thousand values at once, not more."""

CONVERSATIONS_PER_SWEEP = 50
"""Conversations of one sweep or repair call. Redis runs no other command meanwhile, so a call takes less than 1 ms."""

DEFAULT_PAUSE_MS = 3_600_000

Clock = Callable[[], int]
Encode = Callable[[list[Any]], Args]


class Store:
    """The operations on conversations. Each may raise StoreUnavailable, StoreFull or StoreError.

    `rules` and `settings` of an operation are those of the conversation's route, None for those of the store. `clock`
    is for tests: it returns milliseconds that replace the server's own time.
    """

    def __init__(self, client: AsyncClient, settings: Settings, clock: Clock | None = None) -> None:
        self.client = client
        self.settings = settings
        self.keys = Keys(settings.redis_key_prefix)
        self._transport = make_transport(client, settings)
        self._claims = self.coalesce("claim", partial(script_calls.claim_args, settings=settings))
        self._renewals = self.coalesce("renew", partial(script_calls.renew_args, settings=settings))
        self._answers = self.coalesce("answered", script_calls.answered_args)
        self._acks = self.coalesce("ack", script_calls.ack_args)
        self._rules = append_rules(settings)
        self._clock = clock
        self._canonical = settings.canonical_phones
        self._partitions = settings.redis_partitions

    def ref(self, conversation: Conversation) -> Ref:
        """Return the Ref of a conversation in this installation. It does not resolve aliases."""
        gateway, channel, peer = conversation
        if self._canonical:
            peer = canonical_phone(gateway, peer)
        return ref_of((gateway, channel, peer), self._partitions)

    async def append(self, messages: Sequence[Append], rules: AppendRules | None = None) -> list[Appended]:
        """Store messages in one call per partition. Returns the results in the order of the messages."""
        if not messages:
            return []
        resolved = self._resolve(messages)
        groups: dict[int, list[int]] = defaultdict(list)
        for index, (ref, _, _) in enumerate(resolved):
            groups[ref.partition].append(index)
        if len(groups) == 1:
            return await self._append(resolved[0][0].partition, resolved, rules)
        calls = (self._append(one, [resolved[i] for i in indexes], rules) for one, indexes in groups.items())
        return in_message_order(groups.values(), await asyncio.gather(*calls))

    def send_append(
        self, messages: Sequence[Append], results: ReplyReceiver[list[Appended]], rules: AppendRules | None = None
    ) -> bool:
        """Write the append call to the open connection at once, without a task. `results` receives the results.

        Returns False if nothing was sent: the messages belong to several partitions, or no connection is open. Then,
        and after an error, call `append` with the same messages.
        """
        resolved = self._resolve(messages)
        partition = resolved[0][0].partition
        if not isinstance(self._transport, Multiplexer) or any([ref.partition != partition for ref, _, _ in resolved]):
            return False
        args = script_calls.append_args(partition, resolved, rules or self._rules)
        return self._transport.send(*self._script_call("append", partition, args), AppendReplyDecoder(results))

    def _resolve(self, messages: Sequence[Append]) -> list[ResolvedAppend]:
        return [
            (self.ref(message.conversation), self.ref(message.alias) if message.alias else None, message)
            for message in messages
        ]

    async def _append(
        self, partition: int, messages: Sequence[ResolvedAppend], rules: AppendRules | None
    ) -> list[Appended]:
        args = script_calls.append_args(partition, messages, rules or self._rules)
        return script_calls.read_append(await self.run("append", partition, args))

    async def presence(self, conversation: Conversation, kind: PresenceKind, settings: Settings | None = None) -> int:
        """Hold an open burst while the person types, or let it go. Returns the new deadline in ms, 0 if it stays."""
        args = script_calls.presence_args(ref := self.ref(conversation), kind, settings or self.settings)
        return script_calls.read_presence(await self.run("presence", ref.partition, args))

    async def edit(self, conversation: Conversation, change: Change) -> EditResult:
        """Replace the text of a message of the open burst. Returns one of the results of lua/edit.lua."""
        ref = self.ref(conversation)
        args = script_calls.edit_args(ref, conversation, change, self.settings)
        return script_calls.read_edit(await self.run("edit", ref.partition, args))

    async def revoke(self, conversation: Conversation, *fingerprints: bytes) -> RevokeResult:
        """Remove a message and its other parts from the open burst. Returns one of the results of lua/revoke.lua."""
        ref = self.ref(conversation)
        args = script_calls.revoke_args(ref, conversation, fingerprints, self.settings)
        return script_calls.read_revoke(await self.run("revoke", ref.partition, args))

    async def dispatch(self, partition: int, limit: int) -> Dispatched:
        """Return the conversations of a partition that are due, oldest first, and hide them for VISIBILITY_TIME."""
        args = script_calls.dispatch_args(min(limit, DISPATCH_MAX), self.settings)
        return script_calls.read_dispatch(partition, await self.run("dispatch", partition, args))

    async def hold_takeovers(self, partition: int) -> int:
        """Take over no lease for FLUSH_LEASE, because the server's clock has jumped. Returns the end of that in ms."""
        args = script_calls.hold_takeovers_args(self.settings)
        return script_calls.read_hold_takeovers(await self.run("hold_takeovers", partition, args))

    async def claim(self, ref: Ref, caller: str) -> Claim:
        """Claim the batch of a conversation. A repeated claim with the same random `caller` returns the same batch."""
        return script_calls.read_claim(await self._claims.call(ref.partition, (ref.hash, caller)))

    async def renew(self, ref: Ref, token: str) -> Outcome:
        """Extend a lease by FLUSH_LEASE. Returns ok, lost or cancelled."""
        return script_calls.read_renew(await self._renewals.call(ref.partition, (ref.hash, token)))

    async def answered(  # noqa: PLR0913 - an answer is all of these
        self,
        ref: Ref,
        token: str,
        answer: bytes,
        prints: bytes = b"",
        *,
        delay_ms: int = 0,
        agent_ms: int | None = None,
        memory: bytes = b"",
    ) -> Outcome:
        """Store the agent's answer under the lease. Returns ok, later, lost or cancelled.

        `prints` are the prints of its parts (buffer/prints.py), empty if none is sent. With a `delay_ms` the lease is
        given back, and the first part waits for that time. `agent_ms` is how long the agent took, None if nobody knows.
        `memory` replaces what is kept of the conversation for the agent; empty leaves it.
        """
        item = (ref.hash, token, answer, prints, delay_ms, agent_ms, memory)
        return script_calls.read_answered(await self._answers.call(ref.partition, item))

    async def ack(
        self, ref: Ref, token: str, *, pause_ms: int = 0, agent_ms: int | None = None, habits: bytes = b""
    ) -> Outcome:
        """Finish a batch that the agent accepted. Returns ok, lost or cancelled.

        With a `pause_ms` the conversation is handed over to a human for that time. `agent_ms` is how long the agent
        took, None if nobody knows or `answered` has told it. `habits` replaces those of the person; empty leaves them.
        """
        item = (ref.hash, token, pause_ms, agent_ms, habits)
        return script_calls.read_ack(await self._acks.call(ref.partition, item))

    async def fail(self, ref: Ref, token: str, error: str, *, delay_ms: int, dead: bool = False) -> Outcome:
        """End a failed attempt: retry after `delay_ms`, or make a dead letter. Returns ok, dead, lost or cancelled."""
        return await self.end_attempt(ref, token, Failure("dead" if dead else "retry", delay_ms, error))

    async def release(self, ref: Ref, token: str, delay_ms: int = 0) -> Outcome:
        """Give a lease back without counting an attempt. Returns ok, lost or cancelled."""
        return await self.end_attempt(ref, token, Failure("release", delay_ms, ""))

    async def end_attempt(self, ref: Ref, token: str, failure: Failure) -> Outcome:
        """End an attempt without an ack. Returns ok, dead, lost or cancelled."""
        args = script_calls.fail_args(ref, token, failure, self.settings)
        return script_calls.read_fail(await self.run("fail", ref.partition, args))

    async def flush_now(self, conversation: Conversation) -> int:
        """Close an open burst at once. Returns the number of its messages."""
        ref = self.ref(conversation)
        return script_calls.read_flush_now(await self.run("flush_now", ref.partition, script_calls.flush_now_args(ref)))

    async def discard(self, conversation: Conversation, cause: str = "operator") -> tuple[int, bool]:
        """Discard the burst and batch of a conversation. Returns (messages discarded, batch in flight cancelled)."""
        ref = self.ref(conversation)
        args = script_calls.discard_args(ref, cause)
        return script_calls.read_discard(await self.run("discard", ref.partition, args))

    async def redrive(self, flush_id: str) -> RedriveResult:
        """Deliver a dead letter again. Raises ValueError if `flush_id` is none."""
        partition = Ref.parse(flush_id).partition
        return script_calls.read_redrive(await self.run("redrive", partition, script_calls.redrive_args(flush_id)))

    async def dead_letters(self, partition: int, offset: int = 0, limit: int = 50) -> DeadLetters:
        """Return a page of the dead letters of a partition, oldest first."""
        args = operator_calls.dead_letters_args(offset, limit)
        return operator_calls.read_dead_letters(await self.run("dead_letters", partition, args))

    async def discard_letter(self, flush_id: str, cause: str = "operator") -> DiscardLetterResult:
        """Delete a dead letter, with a record. Raises ValueError if `flush_id` is none."""
        partition = Ref.parse(flush_id).partition
        args = operator_calls.discard_letter_args(flush_id, cause)
        return operator_calls.read_discard_letter(await self.run("discard_letter", partition, args))

    async def pause(
        self, conversation: Conversation, pause_ms: int = DEFAULT_PAUSE_MS, mode: PauseMode = PauseMode.HOLD
    ) -> int:
        """Pause a conversation for `pause_ms`. Returns the end of the pause in ms."""
        ref = self.ref(conversation)
        args = script_calls.pause_args(ref, conversation, pause_ms, mode)
        return script_calls.read_pause(await self.run("pause", ref.partition, args))

    async def resume(self, conversation: Conversation) -> bool:
        """End a pause. Returns True if the conversation was paused."""
        ref = self.ref(conversation)
        return script_calls.read_resume(await self.run("resume", ref.partition, script_calls.resume_args(ref)))

    async def sweep(self, partition: int) -> int:
        """Forget at most CONVERSATIONS_PER_SWEEP conversations idle for longer than DEDUPE_TTL. Returns how many."""
        args = script_calls.sweep_args(CONVERSATIONS_PER_SWEEP, self.settings)
        return script_calls.read_sweep(await self.run("sweep", partition, args))

    async def repair(self, partition: int, rests: float = 0.0) -> tuple[int, int]:
        """Compare every conversation with the wake index. Returns the numbers of entries put back and dropped.

        After each call it sleeps `rests` times as long as the call took, so that Redis has time for the flushes.
        """
        put_back = dropped = 0
        began = time.monotonic()
        async for hashes in conversation_hashes(self.client, self.keys, partition, CONVERSATIONS_PER_SWEEP):
            reply = await self.run("repair", partition, script_calls.repair_args(hashes))
            added, removed = script_calls.read_repair(reply)
            put_back, dropped = put_back + added, dropped + removed
            await asyncio.sleep(rests * (time.monotonic() - began))
            began = time.monotonic()
        return put_back, dropped

    async def restore(self, partition: int, hashes: Sequence[str]) -> int:
        """Put back the wake entries that some of these conversations lack. Returns how many were put back."""
        put_back = 0
        for start in range(0, len(hashes), CONVERSATIONS_PER_SWEEP):
            some = hashes[start : start + CONVERSATIONS_PER_SWEEP]
            try:
                scores: list[float | None] = await self.client.zmscore(self.keys.of(partition, "wake"), list(some))
            except (RedisError, OSError) as error:
                raise store_error(error) from error
            if lost := [name for name, score in zip(some, scores, strict=True) if score is None]:
                reply = await self.run("repair", partition, script_calls.repair_args(lost))
                put_back += script_calls.read_repair(reply)[0]
        return put_back

    async def leased(self, refs: Sequence[Ref]) -> set[Ref]:
        """Return the conversations whose batch has a lease, live or over by the server's clock."""
        pipeline = self.client.pipeline(transaction=False)
        for ref in refs:
            pipeline.hexists(self.keys.of(ref.partition, "conv", ref.hash), "token")
        try:
            found = await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as error:
            raise store_error(error) from error
        return {ref for ref, has_token in zip(refs, found, strict=True) if has_token is True or has_token == 1}

    async def snapshot(self, partition: int, limit: int = 50) -> dict[str, Any]:
        """Return totals of a partition and its `limit` soonest conversations. lua/snapshot.lua lists the fields."""
        return operator_calls.read_snapshot(await self.run("snapshot", partition, operator_calls.snapshot_args(limit)))

    async def pending(self, partition: int, offset: int = 0, limit: int = 50) -> tuple[int, list[Pending]]:
        """Return the time of the server in ms, and a page of the conversations in the wake index, soonest first."""
        args = operator_calls.pending_args(offset, limit)
        return operator_calls.read_pending(await self.run("pending", partition, args))

    async def load_scripts(self) -> None:
        """Load the scripts that the server does not have."""
        try:
            loaded = await self.client.script_exists(*(scripts.script(verb).sha for verb in scripts.VERBS))
            for verb, is_loaded in zip(scripts.VERBS, loaded, strict=True):
                if not is_loaded:
                    await self.client.script_load(scripts.script(verb).source)
        except (RedisError, OSError) as error:
            raise store_error(error) from error

    async def close(self) -> None:
        """Close the connections."""
        if isinstance(self._transport, Multiplexer):
            await self._transport.close()
        await self.client.aclose()

    def coalesce(self, verb: str, encode: Encode) -> CallCoalescer[Any, Any]:
        return CallCoalescer(verb, partial(self._run_coalesced, verb, encode))

    async def _run_coalesced(self, verb: str, encode: Encode, partition: int, items: list[Any]) -> Any:
        return await self.run(verb, partition, encode(items))

    async def run(self, verb: str, partition: int, args: Args) -> Any:
        return await self._transport.call(*self._script_call(verb, partition, args))

    def _script_call(self, verb: str, partition: int, args: Args) -> tuple[scripts.Script, str, Args]:
        now: int | str = self._clock() if self._clock else ""
        return scripts.script(verb), self.keys.root(partition), [now, *args]
