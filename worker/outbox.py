"""An answer on its way out: packed into parts, sent, handed over, with the typing indicator around it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from agents.results import AgentReply
from buffer.reply_store import Replies
from buffer.store import Store
from gateways.reply_text import ReplyStyle
from gateways.sending import ReplyTo, SendResponse, Target
from worker.answer_parts import GROUP_FIELD, StoredAnswer, last_fields, read_stored, stored_answer
from worker.flight import Flight
from worker.replies import Delivery, PartSender, pace_ms
from worker.reply_client import ReplyClient
from worker.reply_log import ReplyLog
from worker.typing_indicator import LIMITS, Make, TypingIndicator

SILENT = nullcontext()


class Answered(NamedTuple):
    """A stored answer, and the numbers of its parts that are left to send (none if `last` is less than `first`)."""

    answer: StoredAnswer
    first: int
    last: int


class Packed(NamedTuple):
    """What is stored of an answer, with the agent's new memory, and the wait before its first part."""

    answer: bytes
    prints: bytes
    first_delay_ms: int
    answered: Answered
    memory: bytes = b""


class Outbox:
    """Sends answers. It makes no connection before the first request."""

    def __init__(self, store: Store) -> None:
        self._log = ReplyLog()
        self._client = ReplyClient()
        self._parts = PartSender(Replies(store), self._client, self._log)
        self._typing = TypingIndicator(ReplyClient(LIMITS))

    async def close(self) -> None:
        """Close the connections to gateways."""
        await self._typing.close()
        await self._client.close()

    def while_thinking(self, flight: Flight) -> AbstractContextManager[None]:
        """Return a context in which the person sees that we type, where the channel sends replies at all."""
        settings, sender, target = flight.channel
        if sender is None or target is None or not (settings.typing_indicator or settings.reply_mark_read):
            return SILENT
        return self._typing.while_thinking(settings, sender, target, reply_to(flight))

    def pack(self, flight: Flight, reply: AgentReply) -> Packed | None:
        """Return what is stored of an answer, or None if it has neither content nor memory."""
        memory = reply.memory or b""
        if not reply.parts and not reply.handoff and not memory:
            return None
        settings, sender, _ = flight.channel
        style = ReplyStyle(settings.reply_split, settings.reply_parts_max, settings.markdown)
        if flight.channel.is_silent:
            self._log.not_sent(flight.batch.conversation, settings)
            answer, _ = stored_answer(flight.batch, reply, None, style)
            return Packed(answer, b"", 0, Answered(StoredAnswer((), {}, False, reply.handoff), 1, 0), memory)
        answer, prints = stored_answer(flight.batch, reply, sender, style)
        stored = read_stored(answer)
        first_delay_ms = pace_ms(settings, stored.parts[0]) if stored.parts else 0
        return Packed(answer, prints, first_delay_ms, Answered(stored, 1, len(stored.parts)), memory)

    def resume(self, flight: Flight) -> Answered | None:
        """Return the answer that an earlier worker stored, or None if it cannot be read."""
        batch = flight.batch
        if batch.doubted_part:
            self._log.left_in_doubt(batch)
        try:
            stored = read_stored(batch.answer or b"")
        except ValueError:
            return None
        return Answered(stored, batch.next_part or 1, batch.last_part)

    def show_typing(self, flight: Flight) -> None:
        """Show the person once that we type: the next part waits for its pace."""
        settings, sender, target = flight.channel
        if sender is not None and target is not None:
            self._typing.show_once(settings, sender, target, reply_to(flight))

    def hide_typing(self, flight: Flight) -> None:
        """End the indicator of `show_typing`: all parts have ended."""
        settings, sender, target = flight.channel
        if sender is not None and target is not None:
            self._typing.hide(settings, sender, target, reply_to(flight))

    async def send(self, flight: Flight, answered: Answered) -> str | None:
        """Send the parts that are left. Return None if each has ended, else why the worker stops here."""
        settings, sender, target = flight.channel
        if answered.first > answered.last or sender is None:
            return None
        stored = answered.answer
        to = ReplyTo(flight.batch.conversation, stored.last, stored.is_group)
        delivery = Delivery(flight.ref, flight.batch, flight.lease, settings, sender, target, to, stored.parts)
        stop = await self._parts.send(delivery, answered.first, answered.last)
        if stop == "later":
            self.show_typing(flight)
        elif stop is None and flight.batch.answer is not None:
            self.hide_typing(flight)
        return stop

    async def hand_over(self, flight: Flight, answered: Answered) -> int:
        """Give the conversation to a human if the agent asked for it. Return the pause in ms, 0 for none.

        The gateway's helpdesk is told at most once. A failure of that is logged, and the pause holds all the same.
        """
        if not answered.answer.handoff:
            return 0
        settings, sender, target = flight.channel
        if sender is not None and target is not None and sender.hand_over is not None:
            to = ReplyTo(flight.batch.conversation, answered.answer.last, answered.answer.is_group)
            await self._tell_helpdesk(flight, sender.hand_over, target, to)
        return settings.takeover_ms

    async def _tell_helpdesk(self, flight: Flight, make: Make, target: Target, to: ReplyTo) -> None:
        try:
            request = make(target, to)
        except Exception as error:
            self._log.not_handed_over(flight.batch, repr(error), target)
            return
        response = await self._client.send(request) if request is not None else None
        if isinstance(response, SendResponse):
            reason = "" if 200 <= response.status < 300 else f"the gateway answered {response.status}"
        else:
            reason = response.reason if response is not None else ""
        if reason:
            self._log.not_handed_over(flight.batch, reason, target)


def reply_to(flight: Flight) -> ReplyTo:
    """Return the person and the last message of a batch in flight."""
    last = last_fields(flight.batch)
    return ReplyTo(flight.batch.conversation, last, GROUP_FIELD in last)
