"""The flush: claim a conversation's batch, call the agent, store the answer, send its parts, ack."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from agents.results import AgentFailure, AgentReply
from buffer.keys import Ref
from buffer.models import Batch, Outcome
from buffer.retry import retry_unavailable
from buffer.store import Store
from config.killpoints import kill_point
from config.logs import get_logger, mask
from config.routes import Routes
from config.settings import Settings
from config.trace_context import new_span_id
from gateways.masking import mask_numbers
from worker.agents import Agents
from worker.channels import Channels
from worker.flight import Flight
from worker.flush_ends import FlushEnds, log_ended
from worker.leases import LeaseEnded, Leases
from worker.outbox import Answered, Outbox
from worker.tracing import FlushTrace, step, trace_without_spans

CLAIM_RETRY_S = 2.0
"""How long `claim` is retried. Without it the wake index brings the conversation back."""

GIVEN_UP = ("cancelled", "superseded")
"""Marks of a part with which the batch is given up."""

log = get_logger()


class Flusher:
    """Flushes conversations. Any number of flushes may run at once on one event loop."""

    def __init__(
        self,
        store: Store,
        agents: Agents,
        settings: Settings,
        routes: Routes | None = None,
        traces: Callable[[Batch], FlushTrace] = trace_without_spans,
    ) -> None:
        self._store = store
        self._agents = agents
        self._channels = Channels(routes or Routes(settings))
        self._leases = Leases(store, settings)
        self._ends = FlushEnds(store)
        self._outbox = Outbox(store)
        self._traces = traces

    async def renew_leases(self) -> None:
        """Renew the leases of all batches in flight now."""
        await self._leases.renew_all()

    def superseded(self, ref: Ref) -> None:
        """End the call for a conversation whose batch was taken back. Called for a hint, so the store is asked."""
        self._leases.renew_at_once(ref)

    async def close(self) -> None:
        """Close the connections to gateways."""
        await self._outbox.close()

    async def flush(self, ref: Ref, on_batch: Callable[[Batch], None] = lambda _: None) -> str:
        """Deliver the batch of a conversation if it has one. Return the result as one word, for logs and RQ.

        `on_batch` gets the claimed batch. A cancelled flush releases its batch. Raises StoreError if Redis fails for
        longer than the retries last.
        """
        caller = new_span_id()
        claimed_at = asyncio.get_running_loop().time()
        claim = await retry_unavailable(lambda: self._store.claim(ref, caller), CLAIM_RETRY_S)
        if claim.status == "broken":
            log.error("a conversation cannot be read; its keys are kept under `sick:`", conversation=str(ref))
        if claim.ended is not None:
            log_ended(claim.ended)
        if claim.batch is None:
            return claim.status
        kill_point("worker_after_claim")
        on_batch(claim.batch)
        lease = self._leases.of(ref, claim.batch.token, claimed_at)
        flight = Flight(ref, claim.batch, lease, self._channels.of(claim.batch.conversation))
        with self._traces(claim.batch) as trace:
            return trace.ended(await self._fly(flight))

    async def _fly(self, flight: Flight) -> str:
        """Deliver a batch, and give it back if that is cut short."""
        try:
            return await self._deliver(flight)
        except LeaseEnded as ended:
            return await self._ends.abandon(flight, ended.outcome)
        except asyncio.CancelledError:
            await self._ends.cut_short(flight)
            raise

    async def _deliver(self, flight: Flight) -> str:
        batch = flight.batch
        _log_begin(batch)
        if batch.answer is not None:
            return await self._resume(flight)
        if batch.awaited:
            return await self._take_late(flight)
        if not batch.messages:
            return await self._ends.fail(flight, AgentFailure("no message of the batch can be read", dead=True))
        return await self._ask(flight)

    async def _ask(self, flight: Flight) -> str:
        """Call the agent, unless its calls are held, and go on with what it answers."""
        batch = flight.batch
        if held := await self._agents.held(batch):
            return await self._ends.fail(flight, held)
        clock = asyncio.get_running_loop().time
        called_s = clock()
        result = await self._call(flight)
        agent_ms = round((clock() - called_s) * 1000)
        if isinstance(result, AgentFailure):
            return await self._ends.fail(flight, result)
        kill_point("worker_after_call")
        if result.comes_later and (within_ms := flight.channel.settings.answer_within_ms):
            return await self._ends.wait_for_answer(flight, within_ms)
        _log_answer(batch, result)
        return await self._store_answer(flight, result, agent_ms)

    async def _call(self, flight: Flight) -> AgentReply | AgentFailure:
        """Call the agent while the lease is renewed, and show the person that we type."""
        batch = flight.batch
        with flight.lease, self._outbox.while_thinking(flight), step("agent") as call:
            flight.is_called = True
            result = await self._agents.call(batch)
            flight.is_called = False
            if isinstance(result, AgentFailure):
                call.ended("failed", result.error)
            else:
                call.ended("answered")
            return result

    async def _take_late(self, flight: Flight) -> str:
        """Go on with the answer that the agent has posted later, or with the failure that it has not."""
        result = self._agents.read_late(flight.batch)
        if isinstance(result, AgentFailure):
            return await self._ends.fail(flight, result)
        _log_answer(flight.batch, result)
        return await self._store_answer(flight, result, None)

    async def _store_answer(self, flight: Flight, reply: AgentReply, agent_ms: int | None) -> str:
        """Store the agent's answer before any part of it leaves (docs/invariants.md#5)."""
        packed = self._outbox.pack(flight, reply)
        if packed is None:
            kill_point("worker_after_answered")
            return await self._ends.ack(flight, agent_ms=agent_ms)
        outcome = await self._ends.answered(flight, packed, agent_ms)
        if outcome is Outcome.LATER:
            self._outbox.show_typing(flight)
            return outcome.value
        if outcome is not Outcome.OK:
            return await self._ends.abandon(flight, outcome)
        kill_point("worker_after_answered")
        return await self._send_and_ack(flight, packed.answered)

    async def _resume(self, flight: Flight) -> str:
        """Go on with an answer that an earlier worker stored. The agent is not called again."""
        answered = self._outbox.resume(flight)
        if answered is not None:
            return await self._send_and_ack(flight, answered)
        if not flight.batch.next_part:
            return await self._ends.ack(flight)
        return await self._ends.fail(flight, AgentFailure("the stored answer cannot be read", dead=True))

    async def _send_and_ack(self, flight: Flight, answered: Answered) -> str:
        """Send the parts that are left, hand over if the agent asked for it, and ack."""
        stop = await self._outbox.send(flight, answered)
        if stop in GIVEN_UP:
            return await self._ends.abandon(flight, Outcome(stop))
        if stop is not None:
            return stop
        return await self._ends.ack(flight, await self._outbox.hand_over(flight, answered))


def _log_begin(batch: Batch) -> None:
    if log.is_enabled_for(logging.INFO):  # to make the fields of two lines took a fiftieth of a flush
        log.info(
            f"🔄 Iniciando processamento de {_mensagens(len(batch.messages))}",
            **_names(batch),
            attempt=batch.attempt,
            reason=batch.reason.value,
        )
    if batch.skipped:
        log.error("stored messages cannot be read; they are left out", **_names(batch), skipped=batch.skipped)


def _log_answer(batch: Batch, reply: AgentReply) -> None:
    if log.is_enabled_for(logging.INFO):
        person = mask(batch.conversation.peer)
        log.info(f"💬 Agente gerou resposta para {person}", **_names(batch), replies=len(reply.parts))
    if reply.not_understood:
        taken = "the rest is taken" if reply.parts or reply.handoff else "taken as no reply"
        sentence = f"the agent's answer was not understood; {taken}"
        log.warning(sentence, **_names(batch), answer=mask_numbers(reply.not_understood))


def _names(batch: Batch) -> dict[str, str]:
    """Return the fields of a log line that name the batch."""
    gateway, channel, peer = batch.conversation
    return {"flush_id": batch.flush_id, "gateway": gateway, "channel": channel, "peer": peer}


def _mensagens(count: int) -> str:
    return f"{count} mensagem" if count == 1 else f"{count} mensagens"


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
