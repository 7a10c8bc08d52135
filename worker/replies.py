"""Sends the parts of an answer: marks a part in Redis, makes its request, and stores how that ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from buffer.errors import StoreError
from buffer.keys import Ref
from buffer.models import Batch
from buffer.reply_models import Began, Ending, PartEnd, PartOutcome, SendLimits
from buffer.reply_store import Replies
from buffer.retry import retry_unavailable
from config.killpoints import kill_point
from config.settings import Settings
from gateways.sending import (
    Again,
    InDoubt,
    Later,
    Misconfigured,
    Part,
    PartId,
    Rate,
    Refused,
    ReplyTo,
    Sender,
    SendResponse,
    SendResult,
    Sent,
    Target,
)
from gateways.sending_http import without_secrets
from gateways.targets import why_not_sent
from worker.leases import Lease
from worker.reply_client import ReplyClient, cut_short, forget_request
from worker.reply_log import ReplyLog
from worker.retry_delay import backoff_ms
from worker.strikes import Strikes
from worker.tracing import step

STORE_RETRY_S = 60.0
"""How long begin_part and end_part are retried. Without end_part the part is in doubt."""

LAST_WRITE_S = 2.0
"""How long the end of a part is retried when the worker stops, or the batch is cancelled."""

PACE_MAX_MS = 10_000
"""Longest wait that REPLY_TYPING_CPS makes before one part."""

PROBE_MS = 30_000
"""Time between two parts that try whether a channel works again."""

GROWTHS_MAX = 32

LATER_MAX_S = 3_600.0
"""Longest wait that a gateway can ask for."""

NO_TARGET = Target("", "")

OUTCOMES: dict[type[SendResult], str] = {
    Sent: "sent",
    Later: "later",
    Refused: "refused",
    Misconfigured: "misconfigured",
    InDoubt: "in_doubt",
    Again: "again",
}
"""What a trace says about the request for a part."""

FORMS_MAX = 3
"""Requests for one part, if the gateway asks for another form."""


@dataclass(slots=True, frozen=True)
class Delivery:
    """The parts of one answer on their way to the person, and what their requests are made of."""

    ref: Ref
    batch: Batch
    lease: Lease
    settings: Settings
    sender: Sender
    target: Target | None
    to: ReplyTo
    parts: Sequence[Part]

    def part(self, number: int) -> Part:
        """Return a part. The first one has the number 1."""
        return self.parts[number - 1]

    def part_id(self, number: int) -> PartId:
        """Return the name of a part."""
        return PartId(self.batch.flush_id, number, len(self.parts))

    def own_id(self, number: int) -> str | None:
        """Return the id or mark of ours that the gateway gets with a part, or None."""
        return self.sender.own_id(self.part_id(number)) if self.sender.own_id else None

    def limits(self) -> SendLimits:
        """Return the rate limits of the channel and of the person, and how long the answer waits for one who types."""
        sender, per_s = self.sender, self.settings.reply_rate
        channel_rate = Rate(max(1, round(1000 / per_s))) if per_s else sender.channel_rate
        person_rate = sender.group_rate if self.to.is_group and sender.group_rate else sender.person_rate
        hold_ms = self.settings.typing_hold_ms if self.settings.typing_holds_answers else 0
        return SendLimits(*channel_rate, *person_rate, PROBE_MS, hold_ms)

    def pace_ms(self, number: int) -> int:
        """Return how long a person would type a part (REPLY_TYPING_CPS), 0 if there is no such part."""
        if number > len(self.parts):
            return 0
        return pace_ms(self.settings, self.part(number))


def pace_ms(settings: Settings, part: Part) -> int:
    """Return how long a person would type a part, at most PACE_MAX_MS. 0 without REPLY_TYPING_CPS."""
    if not settings.reply_typing_cps or not part.text:
        return 0
    return min(PACE_MAX_MS, len(part.text) * 1000 // settings.reply_typing_cps)


def as_link(part: Part) -> Part:
    """Return the part as a text: the caption, and the address of the file in a line of its own."""
    return Part(text="\n".join(filter(None, (part.text, part.url))))


def _unsendable(delivery: Delivery) -> SendResult:
    """Return why a part of an older answer is not sent now: it waits for credentials, or it is a dead letter."""
    reason = why_not_sent(delivery.settings, delivery.batch.conversation.gateway) or "this gateway sends no replies"
    return Refused(reason) if delivery.settings.send_replies == "off" else Misconfigured(reason)


class _Form(NamedTuple):
    """What one request for a part is made of."""

    target: Target
    to: ReplyTo
    part: Part
    part_id: PartId


class PartSender:
    """Sends parts. Any number of deliveries may run at once on one event loop."""

    def __init__(self, replies: Replies, client: ReplyClient, log: ReplyLog) -> None:
        self._store = replies
        self._client = client
        self._strikes = Strikes()
        self._log = log

    async def send(self, delivery: Delivery, first: int, last: int) -> str | None:
        """Send the parts `first` to `last` in order. Return None if each has ended, else why the worker stops here.

        Raises LeaseEnded if the lease is lost or cancelled before or during a request.
        """
        for number in range(first, last + 1):
            outcome = await self._send_part(delivery, number)
            if outcome != "ok":
                return outcome
        return None

    async def _send_part(self, delivery: Delivery, number: int) -> str:
        """Send one part. Its end is stored without the lease being renewed, for it counts as long as nobody claims."""
        kill_point("worker_before_part")
        with delivery.lease:
            result = await self._begin_and_make(delivery, number)
        if isinstance(result, Began):
            self._log.stopped(delivery, number, result)
            return result.mark
        kill_point("worker_after_part_sent")
        return await self._end(delivery, number, result, STORE_RETRY_S)

    async def _begin_and_make(self, delivery: Delivery, number: int) -> SendResult | Began:
        """Mark a part and make its request. If that is cut short, store what became of it: nobody else knows."""
        forget_request()
        try:
            began = await self._begin(delivery, number)
            if began.mark != "send":
                return began
            kill_point("worker_after_part_marked")
            with step(f"reply part {number}") as sending:
                result = await self._exchange(delivery, number)
                sending.ended(OUTCOMES[type(result)], None if isinstance(result, Sent) else "")
            return result
        except asyncio.CancelledError:
            await self._end_cut_short(delivery, number)
            raise

    async def _begin(self, delivery: Delivery, number: int) -> Began:
        ref, (token, *_), who = delivery.ref, delivery.batch, delivery.batch.conversation
        own_id, limits = delivery.own_id(number), delivery.limits()
        return await retry_unavailable(
            lambda: self._store.begin_part(ref, token, number, who, own_id, limits), STORE_RETRY_S
        )

    async def _end_cut_short(self, delivery: Delivery, number: int) -> None:
        try:
            await asyncio.shield(self._end(delivery, number, cut_short(), LAST_WRITE_S))
        except StoreError as error:
            self._log.end_unknown(delivery, number, error)

    async def _exchange(self, delivery: Delivery, number: int) -> SendResult:
        """Make the request, again where the gateway asks for another form of the part."""
        conversation = delivery.batch.conversation
        target = delivery.target
        if target is None:
            return _unsendable(delivery)
        if blocked := self._strikes.blocked(conversation):
            return blocked
        to, part = delivery.to, delivery.part(number)
        for _ in range(FORMS_MAX):
            result = await self._exchange_once(delivery, _Form(target, to, part, delivery.part_id(number)))
            if not isinstance(result, Again):
                return self._strikes.judge(conversation, result)
            to = result.reply_to or to
            part = as_link(part) if result.as_link else part
        return Refused("the gateway asks for another form of this part again and again")

    async def _exchange_once(self, delivery: Delivery, form: _Form) -> SendResult:
        try:
            request = delivery.sender.request(*form)
        except Exception as error:
            return Refused(f"the request for this part cannot be made ({error!r})")
        response = await self._client.send(request, delivery.lease.is_live)
        if not isinstance(response, SendResponse):
            return response
        try:
            return delivery.sender.read(response, form.to)
        except Exception as error:
            return InDoubt(f"the gateway answered {response.status}, and its answer cannot be read ({error!r})")

    async def _end(self, delivery: Delivery, number: int, result: SendResult, retry_s: float) -> PartOutcome:
        """Store how the sending of a part ended, and say so."""
        result = without_secrets(settled(delivery, result), delivery.target or NO_TARGET, delivery.part(number))
        ref, (token, *_), who = delivery.ref, delivery.batch, delivery.batch.conversation
        ending = ending_of(delivery, number, result)
        outcome = await retry_unavailable(lambda: self._store.end_part(ref, token, number, who, ending), retry_s)
        self._log.ended(delivery, number, result, outcome)
        return outcome


def settled(delivery: Delivery, result: SendResult) -> SendResult:
    """Return the result. A doubt is put back with REPLY_IN_DOUBT=resend, and if the receiver knows a repetition."""
    is_repeatable = delivery.target is not None and delivery.target.idempotent
    if isinstance(result, InDoubt) and (is_repeatable or delivery.settings.reply_in_doubt == "resend"):
        return Later(result.reason)
    return result


def ending_of(delivery: Delivery, number: int, result: SendResult) -> Ending:
    """Return what the store is told. After a part that has left, or may have, the next one waits for its pace."""
    flush_id, give_up_ms = delivery.batch.flush_id, delivery.settings.reply_give_up_ms
    match result:
        case Sent(message_id):
            return Ending("sent", flush_id, message_id, delivery.pace_ms(number + 1))
        case Later(reason):
            end: PartEnd = "limited" if result.whole_channel else "later"
            return Ending(end, flush_id, None, _later_ms(delivery, result), give_up_ms, reason)
        case Refused(reason):
            return Ending("refused", flush_id, reason=reason)
        case Misconfigured(reason):
            return Ending("misconfigured", flush_id, delay_ms=PROBE_MS, reason=reason)
        case InDoubt(reason) | Again(reason):
            return Ending("in_doubt", flush_id, None, delivery.pace_ms(number + 1), reason=reason)


def _later_ms(delivery: Delivery, result: Later) -> int:
    """Return the wait that the gateway asks for, at most LATER_MAX_S, or one that grows with the attempts.

    A wait of the whole channel does not grow beyond PROBE_MS: it is over for everybody when the first part leaves.
    """
    if result.after_s is not None:
        growth = result.growth ** min(delivery.batch.attempt - 1, GROWTHS_MAX)
        return int(min(result.after_s * growth, LATER_MAX_S) * 1000)
    delay_ms = backoff_ms(delivery.settings, delivery.batch.attempt - 1)
    return min(delay_ms, PROBE_MS) if result.whole_channel else delay_ms
