"""Makes the bodies of answers from what the store holds. Without a token, numbers, names and texts are masked."""

from __future__ import annotations

from collections.abc import Iterable

from buffer.held_lists import LetterView, texts_of
from buffer.insight_models import ConversationView, Erased, FlushRecord, HeldMessage
from buffer.models import Conversation
from buffer.operator_models import DeadLetter, Pending
from buffer.reply_models import Doubt
from buffer.windows import window_text
from config.logs import mask, mask_phones
from gateways.masking import masked_reason
from webhook.admin import models


def who(conversation: Conversation, name: str, sees_all: bool) -> models.Who:
    """Return a conversation, masked unless `sees_all`."""
    gateway, channel, peer = conversation
    if sees_all:
        return models.Who(gateway=gateway, channel=channel, id=peer, name=name or None)
    return models.Who(gateway=gateway, channel=mask_phones(channel), id=mask(peer))


def reason_of(error: str, sees_all: bool) -> str:
    """Return why something failed. A gateway may have named the person in it."""
    return error if sees_all else masked_reason(error, ())


def listed(found: Pending, sees_all: bool) -> models.ListedConversation:
    """Return a conversation of the list."""
    return models.ListedConversation(
        ref=found.ref,
        conversation=who(found.conversation, "", sees_all),
        state=found.state,
        due_ms=found.due_ms,
        opened_ms=found.opened_ms,
        messages=found.messages,
    )


def conversation_body(view: ConversationView, sees_all: bool) -> models.ConversationBody:
    """Return all that is known of a conversation."""
    same = {field: getattr(view, field) for field in models.ConversationBody.model_fields if field not in _MADE}
    return models.ConversationBody(
        conversation=who(view.conversation, view.name, sees_all),
        burst=messages(view.burst, sees_all),
        batch=messages(view.batch, sees_all),
        **same,
    )


_MADE = ("conversation", "burst", "batch", "error", "arrivals_ms", "window")
"""Fields of a body that are not those of its record."""


def messages(held: Iterable[HeldMessage], sees_all: bool) -> list[models.HeldMessageBody]:
    """Return messages, without their texts unless `sees_all`."""
    return [
        models.HeldMessageBody(
            received_ms=one.received_ms, kind=one.kind, text=one.text if sees_all else None, has_media=one.has_media
        )
        for one in held
    ]


def erased(result: Erased) -> models.ErasedBody:
    """Return how much was deleted, without naming the person."""
    counts = {field: getattr(result, field) for field in models.ErasedBody.model_fields if field != "found"}
    return models.ErasedBody(found=any(counts.values()), **counts)


def flush(record: FlushRecord, sees_all: bool) -> models.Flush:
    """Return the record of what ended."""
    same = {field: getattr(record, field) for field in models.Flush.model_fields if field not in _MADE}
    return models.Flush(
        conversation=who(record.conversation, "", sees_all),
        error=reason_of(record.error, sees_all),
        arrivals_ms=list(record.arrivals_ms),
        window=window_text(record),
        **same,
    )


def dead_letter(letter: DeadLetter, sees_all: bool) -> models.DeadLetterBody:
    """Return a dead letter of the list."""
    return models.DeadLetterBody(
        flush_id=letter.flush_id,
        conversation=who(letter.conversation, "", sees_all),
        died_ms=letter.died_ms,
        redriven_ms=letter.redriven_ms,
        error=reason_of(letter.error, sees_all),
        messages=letter.messages,
        attempts=letter.attempts,
    )


def dead_letter_look(view: LetterView, sees_all: bool) -> models.DeadLetterLook:
    """Return a dead letter with what it holds."""
    listed_part = dead_letter(view.letter, sees_all).model_dump(exclude={"conversation"})
    return models.DeadLetterLook(
        **listed_part,
        conversation=who(view.letter.conversation, view.name, sees_all),
        reason=view.reason,
        closed_ms=view.closed_ms,
        next_part=view.next_part,
        shown=messages(view.shown, sees_all),
        replies=view.replies if sees_all else [],
    )


def doubt(found: Doubt, sees_all: bool) -> models.DoubtBody:
    """Return a part in doubt."""
    texts = texts_of(found.answer)
    has_text = sees_all and 0 < found.number <= len(texts)
    return models.DoubtBody(
        id=found.doubt_id,
        conversation=who(found.conversation, "", sees_all),
        since_ms=found.since_ms,
        reason=reason_of(found.reason, sees_all),
        number=found.number,
        text=texts[found.number - 1] if has_text else None,
    )
