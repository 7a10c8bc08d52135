"""Z-API: flat bodies with one key for the content. Deliveries have no signature, only a static token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from buffer.models import Edit, Event, Message, Presence
from config.settings import Settings
from gateways.base import BadRequest, Gateway, Request
from gateways.content import Content
from gateways.credentials import STATIC_TOKEN, header_scheme, token_matches
from gateways.fields import first_text, read_object, text_of, time_of
from gateways.jid import Chat, chat_of, person_of
from gateways.whatsapp_content import read_content
from gateways.zapi_content import to_whatsapp_message

NAME = "zapi"
STATES = frozenset({"composing", "recording", "paused", "available", "unavailable"})


def is_open(settings: Settings) -> bool:
    """Return True if a token is configured."""
    return settings.zapi_token is not None


def verify(request: Request, settings: Settings) -> bool:
    """Return True if the request carries the token."""
    return token_matches(request, settings.zapi_token, "z-api-token", "client-token")


def parse(request: Request) -> list[Event]:
    """Return the event of one body. Other events of Z-API give none. Raises BadRequest."""
    body = read_object(request.body)
    reader = READERS.get((text_of(body.get("type")) or "").lower())
    if reader is None:
        return []
    channel = first_text(body, "instanceId", "connectedPhone")
    if channel is None:
        raise BadRequest("`instanceId` is missing: it must be the id of the Z-API instance, a string")
    chat = _chat(body, channel)
    event = reader(body, chat) if chat else None
    return [event] if event else []


def _read_message(body: dict[str, Any], chat: Chat) -> Event | None:
    # a waiting message is not decrypted yet: its content comes later under the same id, which must not be a duplicate
    if body.get("waitingMessage") is True:
        return None
    message_id = text_of(body.get("messageId"))
    content = read_content(to_whatsapp_message(body), message_id)
    if content is None:
        return None
    if body.get("isEdit") is True:
        return _edit(body, chat, message_id, content.text)
    return _message(body, chat, message_id, content)


def _message(body: dict[str, Any], chat: Chat, message_id: str | None, content: Content) -> Message:
    return Message(
        conversation=chat.conversation,
        message_id=message_id,
        timestamp_ms=time_of(body.get("momment"), 1),
        kind=content.kind,
        text=content.text,
        media=content.media,
        sender_name=_sender_name(body, chat),
        from_me=chat.from_me,
        is_group=chat.is_group,
        conversation_alias=chat.alias,
        extra=content.extra_with(
            quoted_id=text_of(body.get("referenceMessageId")),
            participant=_author(body) if chat.is_group else None,
            via_api=chat.from_me and body.get("fromApi") is True,
        ),
    )


def _edit(body: dict[str, Any], chat: Chat, target_id: str | None, text: str | None) -> Edit | None:
    # the `messageId` of an edit is its target's, and its own is `editMessageId`
    if target_id is None or text is None:
        return None
    return Edit(chat.conversation, target_id, text, time_of(body.get("momment"), 1), chat.from_me)


def _read_presence(body: dict[str, Any], chat: Chat) -> Presence | None:
    state = (text_of(body.get("status")) or "").lower()
    return Presence(chat.conversation, state, _author(body) if chat.is_group else None) if state in STATES else None


READERS: dict[str, Callable[[dict[str, Any], Chat], Event | None]] = {
    "receivedcallback": _read_message,
    "presencechatcallback": _read_presence,
}


def _chat(body: dict[str, Any], channel: str) -> Chat | None:
    from_me = body.get("fromMe") is True
    if True in (body.get("isNewsletter"), body.get("broadcast")):
        return None
    # in our own messages the sender is us
    lids = [body.get("chatLid"), None if from_me else body.get("senderLid")]
    is_group = body.get("isGroup") is True
    return chat_of((NAME, channel), body.get("phone"), lids, is_group=is_group, from_me=from_me)


def _author(body: dict[str, Any]) -> str | None:
    return person_of([body.get("participantPhone"), body.get("participantLid")]).peer


def _sender_name(body: dict[str, Any], chat: Chat) -> str | None:
    """Return the person's name. `chatName` is the person's too, but not in groups and in our own messages."""
    fields = ("senderName",) if chat.is_group or chat.from_me else ("senderName", "chatName")
    return first_text(body, *fields)


GATEWAY = Gateway(
    NAME,
    is_open,
    verify,
    parse,
    verify_head=verify,
    security_schemes=STATIC_TOKEN
    | {
        "zapiToken": header_scheme("z-api-token", "ZAPI_TOKEN"),
        "zapiClientToken": header_scheme("client-token", "ZAPI_TOKEN"),
    },
    auth_hint="with `?token=<ZAPI_TOKEN>` at its end",
)
