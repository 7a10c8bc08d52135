"""Makes the entries of the page from what the store holds: without numbers, names and texts."""

from __future__ import annotations

from buffer.insight_models import ConversationView, FlushRecord
from buffer.models import Conversation
from buffer.operator_models import DeadLetter, Pending
from buffer.reply_models import Doubt
from config.trace_context import trace_id_of
from gateways.masking import masked_peer, masked_reason
from webhook.dashboard.models import AtAgent, Ended, Held, Waiting, Who
from webhook.metrics.labels import label_of


def who(conversation: Conversation) -> Who:
    """Return a conversation with its number masked."""
    gateway, channel, peer = conversation
    return Who(masked_peer(gateway, peer), gateway, label_of(channel))


def waiting(found: Pending, max_wait_ms: int, view: ConversationView | None) -> Waiting:
    """Return a conversation that waits. `view` is a look at it, if it is drawn."""
    cap_ms = None if found.opened_ms is None else found.opened_ms + max_wait_ms
    return Waiting(
        ref=found.ref,
        who=who(found.conversation),
        state=found.state,
        messages=found.messages,
        opened_ms=found.opened_ms,
        due_ms=found.due_ms,
        cap_ms=view.cap_ms if view and view.cap_ms else cap_ms,
        arrivals_ms=tuple(one.received_ms for one in view.burst) if view else (),
        at_agent=_at_agent(view) if view else None,
    )


def _at_agent(view: ConversationView) -> AtAgent | None:
    if view.state != "in_flight" or view.closed_ms is None or not view.batch:
        return None
    arrivals_ms = tuple(one.received_ms for one in view.batch)
    return AtAgent(view.closed_ms, view.reason, view.batch_messages, arrivals_ms)


_SAME = ("ref", "flush_id", "part", "reason", "outcome", "cause", "messages", "opened_ms", "last_ms", "closed_ms")
_TIMES = ("claimed_ms", "answered_ms", "ended_ms", "attempts", "parts", "doubts", "arrivals_ms", "successor")
_WINDOW = ("window_ms", "window_why", "is_held")
"""Fields of a record that are shown as they are."""


def ended(record: FlushRecord) -> Ended:
    """Return the record of what ended."""
    return Ended(
        **{name: getattr(record, name) for name in (*_SAME, *_TIMES, *_WINDOW)},
        who=who(record.conversation),
        error=masked_reason(record.error, ()),
        waited_ms=_waited_ms(record),
        late_ms=_late_ms(record),
        parts_sent=max(0, min(record.parts, record.next_part - 1) - record.doubts),
        trace_id=trace_id_of(record.flush_id) if record.flush_id else "",
    )


def _waited_ms(record: FlushRecord) -> int | None:
    """Return how long the first message waited until the batch was claimed, or until it was discarded."""
    if record.opened_ms is None:
        return None
    return max(0, (record.claimed_ms or record.closed_ms or record.ended_ms) - record.opened_ms)


def _late_ms(record: FlushRecord) -> int | None:
    if record.claimed_ms is None or record.due_ms is None:
        return None
    return max(0, record.claimed_ms - record.due_ms)


def letter(found: DeadLetter) -> tuple[str, Held]:
    """Return the masked reason of a dead letter, and its entry."""
    is_redriven = found.redriven_ms is not None
    held = Held(found.flush_id, who(found.conversation), found.died_ms, found.messages, found.attempts, is_redriven)
    return masked_reason(found.error, ()), held


def doubt(found: Doubt) -> tuple[str, Held]:
    """Return the masked reason of a part in doubt, and its entry."""
    return masked_reason(found.reason, ()), Held(found.doubt_id, who(found.conversation), found.since_ms, 0, 0)
