"""What RQ's dashboards say about a flush: how many messages, of whom, and when. Never a text or a full number."""

from __future__ import annotations

from datetime import UTC, datetime

from buffer.models import Conversation
from buffer.operator_models import DeadLetter
from buffer.upcoming import Upcoming
from config.logs import mask_phones
from gateways.masking import masked_peer, masked_reason


def pending_text(item: Upcoming) -> str:
    """Describe a pending flush. The dashboards have no column for the due time, so it stands here."""
    wait = "" if item.state == "open" else f" · {item.state}"
    return f"{batch_text(item.messages, item.conversation)}{wait} · due {_clock_text(item.due_ms)}"


def batch_text(messages: int, conversation: Conversation) -> str:
    """Describe the batch of a conversation."""
    return f"{_count_text(messages)} · {who_text(conversation)}"


def letter_text(letter: DeadLetter) -> str:
    """Describe a dead letter."""
    return f"{_letter_content(letter)} · {who_text(letter.conversation)}"


def letter_reason(letter: DeadLetter) -> str:
    """Say why a batch is a dead letter, and what can be done."""
    attempts = f"{letter.attempts} attempt{'' if letter.attempts == 1 else 's'}"
    return (
        f"{masked_reason(letter.error, ()) or 'no reason is known'}\n\n"
        f"Dead letter {letter.flush_id}: {letter_text(letter)}, not delivered after {attempts}.\n"
        f"{_advice(letter)}\n"
        f"Delete hides it here for a few seconds. `debouncer dead discard {letter.flush_id}` deletes the dead letter."
    )


def who_text(conversation: Conversation) -> str:
    """Return the masked person, the gateway and the channel."""
    gateway, channel, peer = conversation
    return f"{masked_peer(gateway, peer)} · {gateway}/{mask_phones(channel)}"


def _count_text(messages: int) -> str:
    return f"{messages} message{'' if messages == 1 else 's'}"


def _letter_content(letter: DeadLetter) -> str:
    return "a part of an answer" if "." in letter.flush_id else _count_text(letter.messages)


def _advice(letter: DeadLetter) -> str:
    if "." in letter.flush_id or letter.messages:
        return "Requeue sends it again, with the same flush id and the same body."
    return "Its messages are gone, so that only an answer which it may hold can be sent again."


def _clock_text(moment_ms: int) -> str:
    moment = datetime.fromtimestamp(moment_ms / 1000, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
