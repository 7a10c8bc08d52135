"""The flush: claim a conversation's batch, call the agent under a renewed lease, store the answer, ack."""

from __future__ import annotations

import asyncio
import random
import secrets

import orjson

from buffer.errors import StoreError
from buffer.keys import Ref
from buffer.models import Batch, Outcome
from buffer.retry import retry_unavailable
from buffer.store import Store
from config.killpoints import kill_point
from config.logs import get_logger, mask
from config.settings import Settings
from worker.agent import Agent, AgentFailure, AgentReply
from worker.leases import LeaseEnded, Leases
from worker.request_body import render_burst

CLAIM_RETRY_S = 2.0
"""A claim that cannot reach Redis is given up soon: the wake index brings the conversation back."""

OUTCOME_RETRY_S = 60.0
"""An outcome is worth repeating for long: giving it up means calling the agent again."""

JITTER = 0.2

log = get_logger()


class Flusher:
    """Runs flushes; any number at once on one event loop."""

    def __init__(self, store: Store, agent: Agent, settings: Settings) -> None:
        self._store = store
        self._agent = agent
        self._settings = settings
        self._leases = Leases(store, settings)

    async def flush(self, ref: Ref) -> str:
        """Deliver the conversation's batch if there is one; returns what came of it, for logs and RQ.

        A flush that is cancelled hands its batch back. Raises StoreError when Redis fails for good.
        """
        caller = secrets.token_hex(8)
        claimed_at = asyncio.get_running_loop().time()
        claim = await retry_unavailable(lambda: self._store.claim(ref, caller), CLAIM_RETRY_S)
        if claim.batch is None:
            return claim.status
        kill_point("worker_after_claim")
        try:
            return await self._deliver(ref, claim.batch, claimed_at)
        except asyncio.CancelledError:
            await self._hand_back(ref, claim.batch)
            raise

    async def _deliver(self, ref: Ref, batch: Batch, claimed_at: float) -> str:
        gateway, channel, peer = batch.conversation
        flush_log = log.bind(flush_id=batch.flush_id, gateway=gateway, channel=channel, peer=peer)
        flush_log.info(
            f"🔄 Iniciando processamento de {len(batch.messages)} mensagens",
            attempt=batch.attempt,
            reason=batch.reason.value,
        )
        if batch.answer is not None:
            return await self._ack(ref, batch)
        verdict = await self._call(ref, batch, claimed_at)
        if isinstance(verdict, Outcome):
            return await self._abandon(ref, batch, verdict)
        if isinstance(verdict, AgentFailure):
            return await self._fail(ref, batch, verdict)
        kill_point("worker_after_call")
        flush_log.info(f"💬 Agente gerou resposta para {mask(peer)}", replies=len(verdict.replies))
        if verdict.not_understood:
            flush_log.warning("the agent's answer was not understood; taken as no reply", answer=verdict.not_understood)
        return await self._store_answer_and_ack(ref, batch, verdict)

    async def _call(self, ref: Ref, batch: Batch, claimed_at: float) -> AgentReply | AgentFailure | Outcome:
        """Call the agent while the lease is kept; a lost or cancelled lease ends the call."""
        try:
            with self._leases.hold(ref, batch.token, claimed_at):
                return await self._agent.call(batch, render_burst(batch))
        except LeaseEnded as over:
            return over.outcome

    async def _store_answer_and_ack(self, ref: Ref, batch: Batch, accepted: AgentReply) -> str:
        """Keep the answer before anything else may happen to it (invariant 5), then ack."""
        if accepted.replies:
            answer = orjson.dumps({"replies": accepted.replies})
            outcome = await retry_unavailable(lambda: self._store.answered(ref, batch.token, answer), OUTCOME_RETRY_S)
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

    async def _fail(self, ref: Ref, batch: Batch, problem: AgentFailure) -> str:
        delay_ms = self._delay_ms(batch.failures, problem.retry_after_s)
        outcome = await retry_unavailable(
            lambda: self._store.fail(ref, batch.token, problem.error, delay_ms=delay_ms, dead=problem.dead),
            OUTCOME_RETRY_S,
        )
        log.warning(
            "flush failed", flush_id=batch.flush_id, error=problem.error, attempt=batch.attempt,
            outcome=outcome.value, retry_in_s=delay_ms / 1000 if outcome is Outcome.OK else None,
        )  # fmt: skip
        return "retry" if outcome is Outcome.OK else outcome.value

    def _delay_ms(self, failures: int, retry_after_s: float | None) -> int:
        """Exponential back-off with jitter; Retry-After is honoured, both within RETRY_MAX."""
        settings = self._settings
        delay_s = min(settings.retry_base * 2.0 ** min(failures, 32), settings.retry_max)
        if retry_after_s is not None:
            return int(min(max(retry_after_s, settings.retry_base), settings.retry_max) * 1000)
        return int(delay_s * random.uniform(1 - JITTER, 1 + JITTER) * 1000)  # noqa: S311

    async def _abandon(self, ref: Ref, batch: Batch, outcome: Outcome) -> str:
        """A lost batch belongs to another worker; a cancelled one is released, which records the discard."""
        log.warning("flush given up", flush_id=batch.flush_id, outcome=outcome.value)
        if outcome is Outcome.CANCELLED:
            await self._hand_back(ref, batch)
        return outcome.value

    async def _hand_back(self, ref: Ref, batch: Batch) -> None:
        try:
            await asyncio.shield(retry_unavailable(lambda: self._store.release(ref, batch.token), CLAIM_RETRY_S))
        except StoreError as error:
            log.warning("batch not handed back; it is due again when its lease is over", error=str(error))
