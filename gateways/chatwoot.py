"""Chatwoot: agent bots, API inboxes and account webhooks.

Newer versions sign their deliveries. Older ones and some bots do not, and need a static token. Chatwoot repeats a
delivery to an agent bot after 429 and 500 only, and then hands the conversation to humans.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from buffer.models import Conversation, Edit, Event, Message, Presence, Revoke
from config.settings import CHATWOOT_STATUSES, Settings
from gateways.base import Gateway, Request
from gateways.chatwoot_content import answer_mark, read_answers, read_contents, read_context
from gateways.chatwoot_send import SENDER, return_address
from gateways.content import Content, part_ids, quoted_of, with_part_ids
from gateways.credentials import STATIC_TOKEN, header_scheme, signature_matches, token_matches
from gateways.delivery import report
from gateways.fields import number_of, object_of, objects_of, read_object, text_of, time_of
from gateways.ignored import ignored, misfit

NAME = "chatwoot"
SIGNATURE = "x-chatwoot-signature"
CREATED, UPDATED = "message_created", "message_updated"
TYPING = {"conversation_typing_on": "composing", "conversation_typing_off": "paused"}
EVENTS = frozenset({CREATED, UPDATED, *TYPING})
FROM_ME = {"incoming": False, "0": False, "outgoing": True, "1": True}
STATUS_NUMBERS = {"0": "open", "1": "resolved", "2": "pending", "3": "snoozed"}
"""The statuses in nested objects, which some versions write as numbers."""

MESSAGE_STATUS_NUMBERS = {"0": "sent", "1": "delivered", "2": "read", "3": "failed"}
"""The same for what became of a message of ours."""

HUMAN_TYPES = ("user", None)
"""The types of senders that are humans of ours. Old versions write none."""

SHARED_STATUS = "open"
"""The status of a conversation that belongs to the humans as soon as one of them is its assignee."""

CALL = "voice_call"

FILES_MAX = 15
"""Files of one message at most, as Chatwoot limits them. Most deletions no longer tell how many there were."""


def is_open(settings: Settings) -> bool:
    """Return True if a signing secret or a static token is configured."""
    return settings.chatwoot_secret is not None or settings.chatwoot_token is not None


def verify(request: Request, settings: Settings, *, clock: Callable[[], float] = time.time) -> bool:
    """Return True if the request carries the static token or a recent signature. `clock` returns seconds since 1970."""
    given = request.headers.get(SIGNATURE, "").removeprefix("sha256=")
    if given and _is_signed(given, request, settings, clock):
        return True
    return token_matches(request, settings.chatwoot_token)


def verify_head(request: Request, settings: Settings) -> bool | None:
    """Return True if the request carries the static token, None if it has a signature that its body may match."""
    if settings.chatwoot_secret is not None and request.headers.get(SIGNATURE, ""):
        return None
    return token_matches(request, settings.chatwoot_token)


def _is_signed(given: str, request: Request, settings: Settings, clock: Callable[[], float]) -> bool:
    timestamp = request.headers.get("x-chatwoot-timestamp", "")
    is_genuine = signature_matches(given, settings.chatwoot_secret, "sha256", f"{timestamp}.".encode() + request.body)
    return is_genuine and _is_fresh(timestamp, settings.signature_max_age, clock())


def _is_fresh(timestamp: str, max_age_s: float, now_s: float) -> bool:
    if max_age_s == 0:
        return True
    signed_s = number_of(timestamp)
    return signed_s is not None and abs(now_s - signed_s) <= max_age_s


def parse(request: Request, statuses: Collection[str] = CHATWOOT_STATUSES) -> Sequence[Event]:
    """Return the events of one body. Raises BadRequest.

    `statuses` are those of the conversations that are heard (CHATWOOT_STATUSES).
    """
    body = read_object(request.body)
    conversation, name = _conversation(body), text_of(body.get("event"))
    if name not in EVENTS:
        return [ignored("unknown_event") if name else misfit(None, body)]
    if conversation is None:
        return [misfit(name, body, body.get("conversation"))]
    if name in TYPING:
        return [Presence(conversation, TYPING[name]) if _is_typing_contact(body) else ignored("not_delivered_here")]
    if body.get("private") is True:
        return [ignored("private_note")]
    return (
        _read_created(body, conversation, statuses) if name == CREATED else _read_updated(body, conversation, statuses)
    )


def configured(settings: Settings) -> Callable[[Request], Sequence[Event]]:
    """Return `parse` for the statuses that are configured."""
    return partial(parse, statuses=settings.chatwoot_statuses)


def _read_created(body: dict[str, Any], conversation: Conversation, statuses: Collection[str]) -> Sequence[Event]:
    from_me = FROM_ME.get(text_of(body.get("message_type")) or "")
    if from_me is None:
        return [ignored("notification")]
    if not from_me and (reason := _why_not_heard(body, statuses)):
        return [ignored(reason)]
    if body.get("content_type") == CALL:
        return [ignored("call")]
    parts = with_part_ids(read_contents(body), text_of(body.get("id")))
    return [_message(body, conversation, from_me, part_id, content) for part_id, content in parts]


def _read_updated(body: dict[str, Any], conversation: Conversation, statuses: Collection[str]) -> Sequence[Event]:
    """Read the answer to a form of ours, the edit or deletion of a message of the person, or a report on one of ours.

    An update does not tell what has changed. An edit without a new text changes nothing.
    """
    attributes, message_id = object_of(body.get("content_attributes")), text_of(body.get("id"))
    if content := read_answers(body):
        reason = _why_not_heard(body, statuses)
        return [ignored(reason) if reason else _answer(body, conversation, content)]
    from_me = FROM_ME.get(text_of(body.get("message_type")) or "")
    if from_me is not False:
        return [_delivery(body, conversation.channel) if from_me else ignored("unknown_event")]
    if message_id is None:
        return [misfit(UPDATED, body)]
    parts = list(with_part_ids(read_contents(body), message_id))
    if attributes.get("deleted") in (True, "true"):
        if len(parts) > 1:
            return [Revoke(conversation, part_id) for part_id, _ in parts if part_id]
        return [Revoke(conversation, message_id, part_ids(message_id, FILES_MAX))]
    changed_ms = time_of(body.get("updated_at"))
    edits = [
        Edit(conversation, part_id, content.text, changed_ms) for part_id, content in parts if part_id and content.text
    ]
    return edits or [ignored("edit_without_text")]


def _why_not_heard(body: dict[str, Any], statuses: Collection[str]) -> str | None:
    """Return the reason why a message of the person is not for the agent, or None if it is."""
    conversation = object_of(body.get("conversation"))
    written = text_of(conversation.get("status"))
    status = STATUS_NUMBERS.get(written or "", written)
    if status is not None and status not in statuses:
        return f"status_{status}" if status in CHATWOOT_STATUSES else "status_other"
    return "with_human" if status == SHARED_STATUS and _has_human(conversation) else None


def _has_human(conversation: dict[str, Any]) -> bool:
    """Return True if the assignee of a conversation is a human. Newer versions can assign a bot."""
    meta = object_of(conversation.get("meta"))
    assignee = object_of(meta.get("assignee")) or object_of(conversation.get("assignee"))
    last = object_of(next(iter(objects_of(conversation.get("messages"))), {}).get("conversation"))
    holders = (conversation, meta) if "assignee" in meta else (conversation, meta, last)
    is_assigned = bool(assignee) or any(holder.get("assignee_id") for holder in holders)
    written = text_of(assignee.get("type")) or text_of(meta.get("assignee_type")) or ""
    return is_assigned and not any(name in written.lower() for name in ("bot", "assistant"))


def _conversation(body: dict[str, Any]) -> Conversation | None:
    conversation = object_of(body.get("conversation"))
    channel = text_of(object_of(body.get("inbox")).get("id")) or text_of(conversation.get("inbox_id"))
    peer = text_of(conversation.get("id"))
    return Conversation(NAME, channel, peer) if channel and peer else None


def _is_typing_contact(body: dict[str, Any]) -> bool:
    # agents have a type, contacts of some versions have none
    return object_of(body.get("user")).get("type") in (None, "contact") and body.get("is_private") is not True


def _message(
    body: dict[str, Any], conversation: Conversation, from_me: bool, message_id: str | None, content: Content
) -> Message:
    sender = object_of(body.get("sender"))
    return Message(
        conversation=conversation,
        message_id=message_id,
        timestamp_ms=time_of(body.get("created_at")),
        kind=content.kind,
        text=content.text,
        media=content.media,
        sender_name=text_of(sender.get("name")),
        from_me=from_me,
        extra=content.extra | read_context(body) | ({"via_api": True} if from_me and not _is_human(body) else {}),
        return_address=return_address(_account_id(body)),
    )


def _is_human(body: dict[str, Any]) -> bool:
    """Return True for a message that a human of ours wrote, in Chatwoot or on the phone behind it.

    The phone's messages have no sender but a mark. Messages of bots, of rules and of campaigns have neither.
    """
    sender, attributes = object_of(body.get("sender")), object_of(body.get("content_attributes"))
    if attributes.get("external_echo") is True or attributes.get("external_sender_name"):
        return True
    return bool(sender) and sender.get("type") in HUMAN_TYPES


def _account_id(body: dict[str, Any]) -> str | None:
    """Return the id of the account, without which a conversation cannot be addressed."""
    conversation = object_of(body.get("conversation"))
    for holder in (body, conversation, object_of(object_of(conversation.get("meta")).get("sender"))):
        if found := text_of(object_of(holder.get("account")).get("id")) or text_of(holder.get("account_id")):
            return found
    return None


def _delivery(body: dict[str, Any], channel: str) -> Event:
    """Read what became of a message of ours in the channel behind Chatwoot."""
    message_id, error = (
        text_of(body.get("id")),
        text_of(object_of(body.get("content_attributes")).get("external_error")),
    )
    nested = objects_of(object_of(body.get("conversation")).get("messages"))
    same = next((message for message in nested if text_of(message.get("id")) == message_id), {})
    status = text_of(body.get("status")) or text_of(same.get("status")) or ""
    word = "failed" if error else MESSAGE_STATUS_NUMBERS.get(status, status)
    return report(NAME, channel, message_id, word, error or "")


def _answer(body: dict[str, Any], conversation: Conversation, content: Content) -> Message:
    """Return the answer to a form as a message of the person. The body is the message with the form, which is ours."""
    form_id = text_of(body.get("id"))
    person = object_of(object_of(object_of(body.get("conversation")).get("meta")).get("sender"))
    form = quoted_of(form_id, text=text_of(body.get("content")), from_me=True)
    return Message(
        conversation=conversation,
        message_id=f"{form_id}:{answer_mark(body)}" if form_id else None,
        timestamp_ms=time_of(body.get("updated_at")),
        kind=content.kind,
        text=content.text,
        sender_name=text_of(person.get("name")),
        extra=content.extra_with(quoted_id=form_id, quoted=form),
        return_address=return_address(_account_id(body)),
    )


GATEWAY = Gateway(
    NAME,
    is_open,
    verify,
    parse,
    verify_head=verify_head,
    security_schemes=STATIC_TOKEN
    | {
        "chatwootSignature": header_scheme(
            "X-Chatwoot-Signature",
            "`sha256=` and the HMAC-SHA256 of `X-Chatwoot-Timestamp`, a dot and the raw body with CHATWOOT_SECRET",
        )
    },
    auth_hint="signed with CHATWOOT_SECRET, or with `?token=<CHATWOOT_TOKEN>` at its end",
    retry_status=500,
    configured=configured,
    sender=SENDER,
)
