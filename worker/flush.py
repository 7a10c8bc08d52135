"""The flush: claim a conversation's batch, call the agent under a renewed lease, store the answer, ack."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import orjson

from buffer.errors import StoreError
from buffer.keys import Ref
from buffer.models import Batch, EndedBatch, Outcome
from buffer.retry import retry_unavailable
from buffer.store import Store
from config.killpoints import kill_point
from config.logs import get_logger, mask
from config.settings import Settings
from worker.agent import Agent
from worker.agent_answer import AgentFailure, AgentReply
from worker.leases import LeaseEnded, Leases
from worker.request_body import render_burst

CLAIM_RETRY_S = 2.0
"""How long `claim` and `release` are retried. Without one of them the wake index brings the conversation back."""

OUTCOME_RETRY_S = 60.0
"""How long `answered`, `ack` and `fail` are retried. Without one of them the agent is called again."""

JITTER = 0.2
"""The largest share by which a retry delay is made shorter or longer at random."""

log = get_logger()


class Flusher:
    """Flushes conversations. Any number of flushes may run at once on one event loop."""

    def __init__(self, store: Store, agent: Agent, settings: Settings) -> None:
        self._store = store
        self._agent = agent
        self._settings = settings
        self._leases = Leases(store, settings)

    async def renew_leases(self) -> None:
        """Renew the leases of all calls in flight now."""
        await self._leases.renew_all()

    async def flush(self, ref: Ref) -> str:
        """Deliver the batch of a conversation if it has one. Return the result as one word, for logs and RQ.

        A cancelled flush releases its batch. Raises StoreError if Redis fails for longer than the retries last.
        """
        caller = secrets.token_hex(8)
        claimed_at = asyncio.get_running_loop().time()
        claim = await retry_unavailable(lambda: self._store.claim(ref, caller), CLAIM_RETRY_S)
        if claim.status == "broken":
            log.error("a conversation cannot be read; its keys are kept under `sick:`", conversation=str(ref))
        if claim.ended is not None:
            _log_ended(claim.ended)
        if claim.batch is None:
            return claim.status
        kill_point("worker_after_claim")
        try:
            return await self._deliver(ref, claim.batch, claimed_at)
        except asyncio.CancelledError:
            await self._release(ref, claim.batch)
            raise

    async def _deliver(self, ref: Ref, batch: Batch, claimed_at: float) -> str:
        gateway, channel, peer = batch.conversation
        flush_log = log.bind(flush_id=batch.flush_id, gateway=gateway, channel=channel, peer=peer)
        flush_log.info(
            f"🔄 Iniciando processamento de {_mensagens(len(batch.messages))}",
            attempt=batch.attempt,
            reason=batch.reason.value,
        )
        if batch.skipped:
            flush_log.error("stored messages cannot be read; they are left out", skipped=batch.skipped)
        if batch.answer is not None:
            return await self._ack(ref, batch)
        if not batch.messages:
            return await self._fail(ref, batch, AgentFailure("no message of the batch can be read", dead=True))
        result = await self._call(ref, batch, claimed_at)
        if isinstance(result, Outcome):
            return await self._abandon(ref, batch, result)
        if isinstance(result, AgentFailure):
            return await self._fail(ref, batch, result)
        kill_point("worker_after_call")
        flush_log.info(f"💬 Agente gerou resposta para {mask(peer)}", replies=len(result.replies))
        if result.not_understood:
            flush_log.warning("the agent's answer was not understood; taken as no reply", answer=result.not_understood)
        return await self._store_answer_and_ack(ref, batch, result)

    async def _call(self, ref: Ref, batch: Batch, claimed_at: float) -> AgentReply | AgentFailure | Outcome:
        """Call the agent while the lease is renewed. A lost or cancelled lease ends the call; return its outcome."""
        try:
            with self._leases.hold(ref, batch.token, claimed_at):
                return await self._agent.call(batch, render_burst(batch))
        except LeaseEnded as ended:
            return ended.outcome

    async def _store_answer_and_ack(self, ref: Ref, batch: Batch, answer: AgentReply) -> str:
        """Store the agent's answer before any other step (docs/invariants.md#5), then ack."""
        if answer.replies:
            stored = orjson.dumps({"replies": answer.replies})
            outcome = await retry_unavailable(lambda: self._store.answered(ref, batch.token, stored), OUTCOME_RETRY_S)
            if outcome is not Outcome.OK:
                return await self._abandon(ref, batch, outcome)
        kill_point("worker_after_answered")
        return await self._ack(ref, batch)

    async def _ack(self, ref: Ref, batch: Batch) -> str:
        outcome = await retry_unavailable(lambda: self._store.ack(ref, batch.token), OUTCOME_RETRY_S)
        kill_point("worker_after_ack")
        if outcome is not Outcome.OK:
            log.warning("flush given up", flush_id=batch.flush_id, outcome=outcome.value)
            return outcome.value
        return "acked"

    async def _fail(self, ref: Ref, batch: Batch, failure: AgentFailure) -> str:
        delay_ms = self._delay_ms(batch, failure)
        outcome = await retry_unavailable(lambda: self._end_attempt(ref, batch, failure, delay_ms), OUTCOME_RETRY_S)
        if outcome is Outcome.DEAD:
            attempts = batch.failures + 1 if failure.sent else batch.attempt
            _log_ended(
                EndedBatch("dead", batch.flush_id, len(batch.messages), attempts, failure.error, batch.conversation)
            )
            return outcome.value
        result = "retry" if outcome is Outcome.OK else outcome.value
        retry = {"retry_in_s": delay_ms / 1000, "counted": failure.sent} if outcome is Outcome.OK else {}
        log.warning(
            "flush failed", flush_id=batch.flush_id, error=failure.error, attempt=batch.attempt, outcome=result, **retry
        )
        return result

    async def _end_attempt(self, ref: Ref, batch: Batch, failure: AgentFailure, delay_ms: int) -> Outcome:
        """Count the attempt, unless the request surely never reached the agent. Then AGENT_GIVE_UP is the limit."""
        if failure.sent:
            return await self._store.fail(ref, batch.token, failure.error, delay_ms=delay_ms, dead=failure.dead)
        give_up_ms = self._settings.give_up_ms
        return await self._store.unreached(ref, batch.token, failure.error, delay_ms=delay_ms, give_up_ms=give_up_ms)

    def _delay_ms(self, batch: Batch, failure: AgentFailure) -> int:
        """Return Retry-After, at least RETRY_BASE and at most RETRY_MAX.

        Without Retry-After, return an exponential delay of at most RETRY_MAX, changed by JITTER.
        """
        settings = self._settings
        if failure.retry_after_s is not None:
            return int(min(max(failure.retry_after_s, settings.retry_base), settings.retry_max) * 1000)
        before = batch.failures if failure.sent else batch.attempt - 1 - batch.failures
        delay_s = min(settings.retry_base * 2.0 ** min(before, 32), settings.retry_max)
        return int(delay_s * random.uniform(1 - JITTER, 1 + JITTER) * 1000)  # noqa: S311

    async def _abandon(self, ref: Ref, batch: Batch, outcome: Outcome) -> str:
        """Stop working on a batch whose lease ended. Release a cancelled one, which records the discard."""
        log.warning("flush given up", flush_id=batch.flush_id, outcome=outcome.value)
        if outcome is Outcome.CANCELLED:
            await self._release(ref, batch)
        return outcome.value

    async def _release(self, ref: Ref, batch: Batch) -> None:
        try:
            await asyncio.shield(retry_unavailable(lambda: self._store.release(ref, batch.token), CLAIM_RETRY_S))
        except StoreError as error:
            log.warning("release failed; the batch is redelivered when its lease expires", error=str(error))


def _mensagens(count: int) -> str:
    return f"{count} mensagem" if count == 1 else f"{count} mensagens"


def _log_ended(ended: EndedBatch) -> None:
    gateway, channel, peer = ended.conversation
    log.error(
        _dead_letter_line(ended, mask(peer)) if ended.outcome == "dead" else _lost_line(ended, mask(peer)),
        flush_id=ended.flush_id or None,
        gateway=gateway,
        channel=channel,
        attempt=ended.attempts,
        outcome=ended.outcome,
    )


def _dead_letter_line(ended: EndedBatch, peer: str) -> str:
    count, attempts = ended.messages, ended.attempts
    return (
        f"dead letter: {count} message{'' if count == 1 else 's'} of {peer} {'was' if count == 1 else 'were'} not "
        f"delivered after {attempts} attempt{'' if attempts == 1 else 's'} ({ended.error}); "
        "`debouncer dead` lists it and sends it again"
    )


def _lost_line(ended: EndedBatch, peer: str) -> str:
    count = f"{ended.messages} message{'' if ended.messages == 1 else 's'}" if ended.messages else "a batch"
    return (
        f"messages lost: {count} of {peer} can no longer be delivered, because the list that held them is gone from "
        "Redis; see who deletes or evicts its keys (`maxmemory-policy` must be noeviction)"
    )


async def flush_all(flush: Callable[[Ref], Coroutine[Any, Any, str]], refs: Sequence[Ref]) -> str:
    """Flush conversations at the same time. Return their results with spaces between.

    An error of one flush does not end the others. It is raised when all have ended.
    """
    if len(refs) == 1:
        return await flush(refs[0])
    flushes = [asyncio.create_task(flush(ref)) for ref in refs]
    try:
        await asyncio.wait(flushes)
    except asyncio.CancelledError:
        for one in flushes:
            one.cancel()
        await asyncio.wait(flushes)
        raise
    return " ".join([one.result() for one in flushes])
