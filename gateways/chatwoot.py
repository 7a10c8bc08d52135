"""Chatwoot: agent bots, API inboxes and account webhooks.

Newer versions sign their deliveries. Older ones and some bots do not, and need a static token. Chatwoot repeats a
delivery to an agent bot after 429 and 500 only, and then hands the conversation to humans.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from buffer.models import Conversation, Event, Message, Presence
from config.settings import Settings
from gateways.base import Gateway, Request
from gateways.content import Content, contacts_content, location_content, media_of, unknown_content, with_part_ids
from gateways.credentials import STATIC_TOKEN, header_scheme, signature_matches, token_matches
from gateways.fields import number_of, object_of, objects_of, read_object, text_of, time_of

NAME = "chatwoot"
TYPING = {"conversation_typing_on": "composing", "conversation_typing_off": "paused"}
FROM_ME = {"incoming": False, "0": False, "outgoing": True, "1": True}
HUMAN_STATUS = "open"
"""The status of a conversation that humans have taken over from the bot."""

MEDIA_KINDS = {"image": "image", "audio": "audio", "video": "video", "file": "document"}


def is_open(settings: Settings) -> bool:
    """Return True if a signing secret or a static token is configured."""
    return settings.chatwoot_secret is not None or settings.chatwoot_token is not None


def verify(request: Request, settings: Settings, *, clock: Callable[[], float] = time.time) -> bool:
    """Return True if the request carries the static token or a recent signature. `clock` returns seconds since 1970."""
    if token_matches(request, settings.chatwoot_token):
        return True
    timestamp = request.headers.get("x-chatwoot-timestamp", "")
    given = request.headers.get("x-chatwoot-signature", "").removeprefix("sha256=")
    is_genuine = signature_matches(given, settings.chatwoot_secret, "sha256", f"{timestamp}.".encode() + request.body)
    return is_genuine and _is_fresh(timestamp, settings.signature_max_age, clock())


def verify_head(request: Request, settings: Settings) -> bool:
    """Return True if the request carries the static token, or a signature that its body may match."""
    if token_matches(request, settings.chatwoot_token):
        return True
    return settings.chatwoot_secret is not None and bool(request.headers.get("x-chatwoot-signature", ""))


def _is_fresh(timestamp: str, max_age_s: float, now_s: float) -> bool:
    if max_age_s == 0:
        return True
    signed_s = number_of(timestamp)
    return signed_s is not None and abs(now_s - signed_s) <= max_age_s


def parse(request: Request) -> list[Event]:
    """Return the messages or the typing event of one body. Other events give none. Raises BadRequest."""
    body = read_object(request.body)
    conversation, name = _conversation(body), text_of(body.get("event")) or ""
    if conversation is None:
        return []
    if name in TYPING and _is_typing_contact(body):
        return [Presence(conversation, TYPING[name])]
    from_me = FROM_ME.get(text_of(body.get("message_type")) or "")
    if name != "message_created" or from_me is None or not _is_for_bot(body, from_me):
        return []
    parts = with_part_ids(_contents(body), text_of(body.get("id")))
    return [_message(body, conversation, from_me, part_id, content) for part_id, content in parts]


def _conversation(body: dict[str, Any]) -> Conversation | None:
    conversation = object_of(body.get("conversation"))
    channel = text_of(object_of(body.get("inbox")).get("id")) or text_of(conversation.get("inbox_id"))
    peer = text_of(conversation.get("id"))
    return Conversation(NAME, channel, peer) if channel and peer else None


def _is_typing_contact(body: dict[str, Any]) -> bool:
    # agents have a type, contacts of some versions have none
    return object_of(body.get("user")).get("type") in (None, "contact") and body.get("is_private") is not True


def _is_for_bot(body: dict[str, Any], from_me: bool) -> bool:
    """Return False for private notes, and for messages of the person in an open conversation."""
    status = object_of(body.get("conversation")).get("status")
    return body.get("private") is not True and (from_me or status != HUMAN_STATUS)


def _message(
    body: dict[str, Any], conversation: Conversation, from_me: bool, message_id: str | None, content: Content
) -> Message:
    sender = object_of(body.get("sender"))
    return Message(
        conversation=conversation,
        message_id=message_id,
        timestamp_ms=_time_ms(body.get("created_at")),
        kind=content.kind,
        text=content.text,
        media=content.media,
        sender_name=text_of(sender.get("name")),
        from_me=from_me,
        extra=content.extra_with(
            quoted_id=text_of(object_of(body.get("content_attributes")).get("in_reply_to")),
            via_api=from_me and sender.get("type") == "agent_bot",
        ),
    )


def _time_ms(written: Any) -> int | None:
    """Return the time in seconds since 1970, an ISO time, or the `2020-03-03 13:05:57 UTC` of older versions."""
    try:
        moment = datetime.fromisoformat(written.replace(" UTC", "+00:00")) if isinstance(written, str) else None
    except ValueError:
        moment = None
    return time_of(moment.timestamp() if moment and moment.tzinfo else written)


def _contents(body: dict[str, Any]) -> list[Content]:
    text, attachments = text_of(body.get("content")), objects_of(body.get("attachments"))
    if not attachments:
        return [Content("text", text) if text else unknown_content(text_of(body.get("content_type")))]
    return [_attachment(item, None if index else text) for index, item in enumerate(attachments)]


def _attachment(item: dict[str, Any], caption: str | None) -> Content:
    name = text_of(item.get("file_type")) or ""
    if name == "location":
        content = _location(item)
    elif name == "contact":
        content = contacts_content([_card(item, caption)])
    else:
        return _file(name, item, caption)
    content.text = caption or content.text
    return content


def _file(name: str, item: dict[str, Any], caption: str | None) -> Content:
    url = text_of(item.get("data_url"))
    media = media_of(url, text_of(item.get("id")), None, caption) if url else None
    kind = MEDIA_KINDS.get(name, "unknown")
    return Content(kind, caption, media, {"raw_type": name} if name and kind == "unknown" else {})


def _location(item: dict[str, Any]) -> Content:
    latitude, longitude = number_of(item.get("coordinates_lat")), number_of(item.get("coordinates_long"))
    return location_content(latitude, longitude, text_of(item.get("fallback_title")), None)


def _card(item: dict[str, Any], caption: str | None) -> dict[str, Any]:
    """Return one phone of a contact as a card. If `meta` has no name, the message's text is the name."""
    meta, phone = object_of(item.get("meta")), text_of(item.get("fallback_title"))
    names = [name for part in ("firstName", "lastName") if (name := text_of(meta.get(part)))]
    return {"name": " ".join(names) or caption, "phones": [phone] if phone else []}


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
)
