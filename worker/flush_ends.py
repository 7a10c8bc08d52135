"""How a flush ends: acked, failed, given up or released, and what the log says about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agents.results import AgentFailure, AgentReply, refused
from buffer.errors import StoreError
from buffer.late_answers import LateAnswers
from buffer.models import Batch, Conversation, EndedBatch, Failure, FailureMode, Outcome
from buffer.retry import retry_unavailable
from buffer.store import Store
from config.killpoints import kill_point
from config.logs import get_logger, mask
from config.settings import Settings
from gateways.reply_text import ReplyStyle
from gateways.sending import Part
from worker.agent_connection import connected
from worker.answer_parts import stored_answer
from worker.flight import Flight
from worker.outbox import Packed
from worker.repeat import MAY_HAVE_RUN
from worker.retry_delay import backoff_ms

RELEASE_RETRY_S = 2.0
"""How long the end of a flush that is cut short is retried. Without it the wake index brings the conversation back."""

OUTCOME_RETRY_S = 60.0
"""How long `answered`, `ack` and `fail` are retried. Without one of them the agent is called again."""

HELD_MS = 300_000
"""How long a batch waits for an agent that is held, if nobody wakes it."""

log = get_logger()


class FlushEnds:
    """Ends flights in the store. `habits_of` tells what is known of the person of a batch, with that batch."""

    def __init__(self, store: Store, habits_of: Callable[[Batch], bytes] = lambda _: b"") -> None:
        self._store = store
        self._habits_of = habits_of
        self._late = LateAnswers(store)

    async def wait_for_answer(self, flight: Flight, within_ms: int) -> str:
        """Give the lease back until the agent posts its answer."""
        ref, token = flight.ref, flight.batch.token
        outcome = await retry_unavailable(lambda: self._late.wait(ref, token, within_ms), OUTCOME_RETRY_S)
        if outcome == "waiting":
            log.info("the agent answers later", flush_id=flight.batch.flush_id, within_s=within_ms / 1000)
            return outcome
        return await self.abandon(flight, Outcome(outcome))

    async def answered(self, flight: Flight, packed: Packed, agent_ms: int | None) -> Outcome:
        """Store the agent's answer and the prints of its parts. `later`: the first part waits for its pace."""
        ref, token = flight.ref, flight.batch.token
        answer, prints, delay_ms, _, memory = packed
        return await retry_unavailable(
            lambda: self._store.answered(
                ref, token, answer, prints, delay_ms=delay_ms, agent_ms=agent_ms, memory=memory
            ),
            OUTCOME_RETRY_S,
        )

    async def ack(self, flight: Flight, pause_ms: int = 0, *, agent_ms: int | None = None) -> str:
        """Finish the batch. With `pause_ms` the conversation is then paused for a human (hand-over).

        `agent_ms` is how long the agent took, unless `answered` has told it.
        """
        ref, token, habits = flight.ref, flight.batch.token, self._habits_of(flight.batch)
        outcome = await retry_unavailable(
            lambda: self._store.ack(ref, token, pause_ms=pause_ms, agent_ms=agent_ms, habits=habits), OUTCOME_RETRY_S
        )
        kill_point("worker_after_ack")
        if outcome is Outcome.SUPERSEDED:
            return _taken_back(flight.batch)
        if outcome is not Outcome.OK:
            log.warning("flush given up", flush_id=flight.batch.flush_id, outcome=outcome.value)
            return outcome.value
        return "acked"

    async def fail(self, flight: Flight, failure: AgentFailure, within_s: float = OUTCOME_RETRY_S) -> str:
        """End an attempt whose call failed: retry later, or make a dead letter."""
        batch = flight.batch
        delay_ms = _delay_ms(flight.channel.settings, batch, failure)
        outcome = await retry_unavailable(lambda: self._end_attempt(flight, failure, delay_ms), within_s)
        if outcome is Outcome.DEAD:
            attempts = batch.failures + 1 if failure.is_counted else batch.attempt
            log_ended(
                EndedBatch("dead", batch.flush_id, len(batch.messages), attempts, failure.error, batch.conversation)
            )
            return outcome.value
        if outcome is Outcome.SUPERSEDED:
            return _taken_back(batch)
        if not failure.called:
            log.debug("the agent is held; the batch waits", flush_id=batch.flush_id, outcome=outcome.value)
            return "held" if outcome is Outcome.OK else outcome.value
        result = "retry" if outcome is Outcome.OK else outcome.value
        retry = {"retry_in_s": delay_ms / 1000, "counted": failure.is_counted} if outcome is Outcome.OK else {}
        log.warning(
            "flush failed", flush_id=batch.flush_id, error=failure.error, attempt=batch.attempt, outcome=result, **retry
        )
        return result

    async def abandon(self, flight: Flight, outcome: Outcome) -> str:
        """Stop working on a batch whose lease ended.

        The release of a cancelled one records the discard. That of a superseded one puts its messages back.
        """
        if outcome is Outcome.SUPERSEDED:
            kill_point("worker_after_superseded")
            await self.release(flight)
            kill_point("worker_after_taken_back")
            return _taken_back(flight.batch)
        log.warning("flush given up", flush_id=flight.batch.flush_id, outcome=outcome.value)
        if outcome is Outcome.CANCELLED:
            await self.release(flight)
        return outcome.value

    async def cut_short(self, flight: Flight) -> None:
        """Give the lease back. With AGENT_REPEAT=never a call that has left makes a dead letter instead."""
        if not (flight.is_called and connected.get() and flight.channel.settings.repeat == "never"):
            await self.release(flight)
            return
        try:
            await asyncio.shield(self.fail(flight, refused(MAY_HAVE_RUN), RELEASE_RETRY_S))
        except StoreError as error:
            log.warning("the end of the call is not stored; its lease expires like that of a crash", error=str(error))

    async def release(self, flight: Flight) -> None:
        """Give the lease back without counting an attempt."""
        ref, token = flight.ref, flight.batch.token
        try:
            await asyncio.shield(retry_unavailable(lambda: self._store.release(ref, token), RELEASE_RETRY_S))
        except StoreError as error:
            log.warning("release failed; the batch is redelivered when its lease expires", error=str(error))

    async def _end_attempt(self, flight: Flight, failure: AgentFailure, delay_ms: int) -> Outcome:
        """Count the attempt, unless the request surely never reached the agent. Then AGENT_GIVE_UP is the limit."""
        ref, token, error = flight.ref, flight.batch.token, failure.error
        settings = flight.channel.settings
        if failure.is_counted:
            mode: FailureMode = "dead" if failure.dead else "retry"
            ended = Failure(mode, delay_ms, error, max_attempts=settings.agent_max_attempts)
            return await self._store.end_attempt(ref, token, _with_fallback(ended, flight))
        mode = "unreached" if failure.called else "held"
        ended = Failure(mode, delay_ms, error, settings.give_up_ms, agent=failure.held)
        return await self._store.end_attempt(ref, token, _with_fallback(ended, flight))


def _with_fallback(ended: Failure, flight: Flight) -> Failure:
    """Return the end of an attempt with FALLBACK_REPLY, if the channel has one and sends replies."""
    settings, sender, _ = flight.channel
    if not settings.fallback_reply or flight.channel.is_silent:
        return ended
    reply = AgentReply((Part(text=settings.fallback_reply),))
    answer, prints = stored_answer(flight.batch, reply, sender, ReplyStyle(parts_max=settings.reply_parts_max))
    return ended._replace(fallback=answer, fallback_prints=prints)


def _delay_ms(settings: Settings, batch: Batch, failure: AgentFailure) -> int:
    """Return Retry-After, at least RETRY_BASE and at most RETRY_MAX, or a delay that grows with the failures.

    A batch whose agent is held is woken when that works again. The delay is for a worker that could not do that.
    """
    if failure.held:
        return min(HELD_MS, settings.give_up_ms or HELD_MS)
    if failure.retry_after_s is not None:
        return int(min(max(failure.retry_after_s, settings.retry_base), settings.retry_max) * 1000)
    before = batch.failures if failure.is_counted else batch.attempt - 1 - batch.failures
    return backoff_ms(settings, before)


def _taken_back(batch: Batch) -> str:
    """Log that the batch was taken back. Return the result word."""
    _log_taken_back(batch.flush_id, batch.conversation, len(batch.messages))
    return Outcome.SUPERSEDED.value


def _log_taken_back(flush_id: str, conversation: Conversation, messages: int) -> None:
    gateway, channel, peer = conversation
    log.info(
        f"batch taken back: {mask(peer)} goes on writing; the agent gets everything in one",
        flush_id=flush_id,
        gateway=gateway,
        channel=channel,
        messages=messages,
    )


def log_ended(ended: EndedBatch) -> None:
    """Log that a batch will not be delivered."""
    gateway, channel, peer = ended.conversation
    if ended.outcome == "superseded":
        _log_taken_back(ended.flush_id, ended.conversation, ended.messages)
        return
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
