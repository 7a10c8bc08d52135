"""The log lines of replies: one line for each end of a part, and one for a whole outage of a channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from buffer.errors import StoreError
from buffer.models import Batch, Conversation
from buffer.reply_models import Began, PartOutcome
from config.log_limiter import LogLimiter
from config.logs import get_logger, mask
from config.settings import Settings
from gateways.masking import masked_reason
from gateways.sending import InDoubt, Later, Misconfigured, SendResult, Sent, Target
from gateways.targets import why_not_sent

if TYPE_CHECKING:
    from worker.replies import Delivery

LATER_EVERY_S = 60.0
"""Time between two lines of one channel about parts that were put back."""

Channel = tuple[str, str]

log = get_logger()


class ReplyLog:
    """Writes the lines, and remembers which channels have had theirs."""

    def __init__(self) -> None:
        self._later: LogLimiter[Channel] = LogLimiter(LATER_EVERY_S)
        self._held: set[Channel] = set()
        self._unsent: set[Channel] = set()

    def not_sent(self, conversation: Conversation, settings: Settings) -> None:
        """Say once for a channel that its replies are not sent, and what to set."""
        gateway, channel, _ = conversation
        if (gateway, channel) not in self._unsent:
            self._unsent.add((gateway, channel))
            why = why_not_sent(settings, gateway) or "answers are not sent: this gateway sends no replies"
            log.warning(why, gateway=gateway, channel=channel)

    def left_in_doubt(self, batch: Batch) -> None:
        """Say that a worker died during the request for a part."""
        gateway, channel, peer = batch.conversation
        log.warning(
            _doubt(peer, "a worker stopped before it was known what became of it"),
            flush_id=batch.flush_id,
            gateway=gateway,
            channel=channel,
            part=batch.doubted_part,
        )

    def not_handed_over(self, batch: Batch, reason: str, target: Target) -> None:
        """Say that the helpdesk was not told of a hand-over."""
        gateway, channel, _ = batch.conversation
        log.warning(
            "the helpdesk was not told of the hand-over; the bot is silent all the same",
            flush_id=batch.flush_id,
            gateway=gateway,
            channel=channel,
            error=masked_reason(reason, [target.secret, target.account]),
        )

    def stopped(self, delivery: Delivery, number: int, began: Began) -> None:
        """Note that a part may not leave now."""
        log.debug("part waits", **_fields(delivery, number), mark=began.mark, at_ms=began.at_ms)

    def end_unknown(self, delivery: Delivery, number: int, error: StoreError) -> None:
        """Say that Redis did not take the end of a part."""
        log.warning(
            "the end of a part could not be stored; it will be in doubt", **_fields(delivery, number), error=str(error)
        )

    def ended(self, delivery: Delivery, number: int, result: SendResult, outcome: PartOutcome) -> None:
        """Write the line for the end of a part, or none where the channel has had it."""
        if outcome in ("lost", "broken"):
            log.warning("part given up", **_fields(delivery, number), outcome=outcome)
        elif outcome == "dead":
            self._dead(delivery, number, result)
        elif isinstance(result, Sent):
            self._sent(delivery, number)
        elif isinstance(result, Misconfigured):
            self._misconfigured(delivery, result)
        elif isinstance(result, InDoubt):
            self._in_doubt(delivery, number, result)
        elif isinstance(result, Later):
            self._put_back(delivery, number, result)

    def _sent(self, delivery: Delivery, number: int) -> None:
        channel = delivery.batch.conversation[:2]
        if channel in self._held:
            self._held.discard(channel)
            log.info(f"replies to {channel[0]} are sent again", gateway=channel[0], channel=channel[1])
        log.info("part sent", **_fields(delivery, number))

    def _misconfigured(self, delivery: Delivery, result: Misconfigured) -> None:
        channel = delivery.batch.conversation[:2]
        if channel in self._held:
            return
        self._held.add(channel)
        log.error(
            f"no reply can be sent through this channel of {channel[0]}: {result.reason}; its replies wait and are "
            "tried again by themselves",
            gateway=channel[0],
            channel=channel[1],
        )

    def _in_doubt(self, delivery: Delivery, number: int, result: InDoubt) -> None:
        log.warning(_doubt(delivery.batch.conversation.peer, result.reason), **_fields(delivery, number))

    def _put_back(self, delivery: Delivery, number: int, result: Later) -> None:
        if count := self._later.add(delivery.batch.conversation[:2]):
            log.warning("part put back", **_fields(delivery, number), error=result.reason, parts_put_back=count)

    def _dead(self, delivery: Delivery, number: int, result: SendResult) -> None:
        peer, reason = mask(delivery.batch.conversation.peer), getattr(result, "reason", "")
        log.error(
            f"dead letter: the reply to {peer} was not sent from part {number} on ({reason}); "
            "`debouncer dead` lists it and sends it again, without calling the agent",
            **_fields(delivery, number),
            outcome="dead",
        )


def _doubt(peer: str, reason: str) -> str:
    return (
        f"nobody knows whether a part reached {mask(peer)} ({reason}); "
        "`debouncer doubt` lists it, and sends it again or drops it"
    )


def _fields(delivery: Delivery, number: int) -> dict[str, Any]:
    gateway, channel, _ = delivery.batch.conversation
    part = f"{number}/{len(delivery.parts)}"
    return {"flush_id": delivery.batch.flush_id, "gateway": gateway, "channel": channel, "part": part}
