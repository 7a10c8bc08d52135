"""Z-API: flat bodies with one key for the content. Deliveries have no signature, only a static token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from buffer.models import Edit, Event, Ignored, Message, Presence, Revoke
from buffer.presence import KIND_OF_STATE
from config.settings import Settings
from gateways.base import BadRequest, Gateway, Request
from gateways.content import Content, known, unknown_content, with_part_ids
from gateways.credentials import STATIC_TOKEN, header_scheme, token_matches
from gateways.delivery import report
from gateways.fields import first_text, object_of, read_object, text_of, time_of
from gateways.ignored import ignored, misfit
from gateways.jid import Chat, chat_of, no_chat, person_of
from gateways.whatsapp_content import VIEW_ONCE, read_content, view_once_id
from gateways.whatsapp_context import ad_opener, ad_referral
from gateways.zapi_content import (
    CONTEXT,
    TEMPLATE,
    quoted_id,
    read_beside,
    read_context,
    reason_without_content,
    template_parts,
    to_whatsapp_messages,
)
from gateways.zapi_send import SENDER

NAME = "zapi"
REVOKED = frozenset({"REVOKE", "REVOKED", "MESSAGE_REVOKE", "MESSAGE_REVOKED", "MESSAGE_DELETED"})
STATUS_EVENTS = frozenset({"messagestatuscallback", "deliverycallback"})
STATUS_IDS_MAX = 1000
"""Messages of one callback that are read."""


def is_open(settings: Settings) -> bool:
    """Return True if a token is configured."""
    return settings.zapi_token is not None


def verify(request: Request, settings: Settings) -> bool:
    """Return True if the request carries the token."""
    return token_matches(request, settings.zapi_token, "z-api-token", "client-token")


def parse(request: Request) -> list[Event]:
    """Return the events of one body, or why it gives none. Raises BadRequest."""
    body = read_object(request.body)
    name = (text_of(body.get("type")) or "").lower()
    reader = READERS.get(name)
    if not name:
        return [misfit(None, body)]
    channel = first_text(body, "instanceId", "connectedPhone")
    if reader is None:
        return _read_statuses(body, channel or "") if name in STATUS_EVENTS else [ignored("unknown_event")]
    if channel is None:
        raise BadRequest("`instanceId` is missing: it must be the id of the Z-API instance, a string")
    chat = _chat(body, channel)
    if chat is None:
        return [ignored("status") if _is_broadcast(body) else no_chat(body.get("phone"), name, body)]
    return reader(body, chat)


def _read_message(body: dict[str, Any], chat: Chat) -> list[Event]:
    # a waiting message is not decrypted yet: its content comes later under the same id, which must not be a duplicate
    if body.get("waitingMessage") is True:
        return [ignored("waiting")]
    if (notice := text_of(body.get("notification"))) and notice.upper() in REVOKED:
        return [_revoke(body, chat)]
    message_id = text_of(body.get("messageId"))
    text = object_of(body.get("text"))
    if words := text_of(text.get("message")):
        has_more = len(text) > 1 or "order" in body or "product" in body
        beside = read_beside(body, words) if has_more else {}
        return [_said(body, chat, message_id, Content("text", words, extra=beside))]
    contents = [_content(body, message, message_id) for message in to_whatsapp_messages(body)] or [_no_content(body)]
    first = contents[0]
    if len(contents) == 1:
        return [first if isinstance(first, Ignored) else _said(body, chat, message_id, first)]
    messages = [content for content in contents if isinstance(content, Content)]
    return [_message(body, chat, part_id, content) for part_id, content in with_part_ids(messages, message_id)]


def _said(body: dict[str, Any], chat: Chat, message_id: str | None, content: Content) -> Event:
    if body.get("isEdit") is True:
        return _edit(body, chat, message_id, content.text)
    return _message(body, chat, message_id, content)


def _content(body: dict[str, Any], message: dict[str, Any], message_id: str | None) -> Content | Ignored:
    content = read_content(message, message_id)
    if isinstance(content, Ignored) and content.reason == "empty":
        return ad_opener(_advert(body)) or content
    if TEMPLATE in body and isinstance(content, Content):
        content.extra |= template_parts(body)
    return content


def _no_content(body: dict[str, Any]) -> Content | Ignored:
    """Return why a body has no content, or the advertisement that the person came from."""
    if reason := reason_without_content(body):
        return ad_opener(_advert(body)) or ignored(reason)
    if True in (body.get("isViewOnce"), body.get("viewOnce")):
        return unknown_content(VIEW_ONCE)
    return ad_opener(_advert(body)) or misfit("receivedcallback", body)


def _advert(body: dict[str, Any]) -> dict[str, Any]:
    return known(referral=ad_referral(body) or None)


def _message(body: dict[str, Any], chat: Chat, message_id: str | None, content: Content) -> Message:
    if not body.keys().isdisjoint(CONTEXT):
        content.extra |= known(**read_context(body))
    return Message(
        conversation=chat.conversation,
        message_id=message_id,
        timestamp_ms=time_of(body.get("momment")),
        kind=content.kind,
        text=content.text,
        media=content.media,
        sender_name=_sender_name(body, chat),
        from_me=chat.from_me,
        is_group=chat.is_group,
        conversation_alias=chat.alias,
        dedupe_id=view_once_id(message_id) if content.extra.get("raw_type") == VIEW_ONCE else None,
        extra=content.extra_with(
            participant=_author(body) if chat.is_group else None,
            via_api=chat.from_me and body.get("fromApi") is True,
        ),
    )


def _edit(body: dict[str, Any], chat: Chat, target_id: str | None, text: str | None) -> Event:
    # the `messageId` of an edit is its target's, and its own is `editMessageId`
    if target_id is None or text is None:
        return ignored("edit_without_text")
    return Edit(chat.conversation, target_id, text, time_of(body.get("momment")), chat.from_me)


def _revoke(body: dict[str, Any], chat: Chat) -> Event:
    # the `messageId` of a revoke is its own, and without a reference that of its target
    target_id = quoted_id(body) or text_of(body.get("messageId"))
    return Revoke(chat.conversation, target_id) if target_id else misfit("receivedcallback", body)


def _read_presence(body: dict[str, Any], chat: Chat) -> list[Event]:
    state = (text_of(body.get("status")) or "").lower()
    if state not in KIND_OF_STATE:
        return [ignored("presence") if state else misfit("presencechatcallback", body)]
    return [Presence(chat.conversation, state, _author(body) if chat.is_group else None)]


def _read_statuses(body: dict[str, Any], channel: str) -> list[Event]:
    """Read what became of our own messages. A delivery callback has one message and says only whether it failed."""
    error = text_of(body.get("error"))
    status = body.get("status") or ("FAILED" if error else "SENT")
    listed = body.get("ids")
    ids = listed[:STATUS_IDS_MAX] if isinstance(listed, list) else [body.get("messageId")]
    events = [report(NAME, channel, text_of(each), status, error or "") for each in ids]
    return events or [ignored("unknown_event")]


READERS: dict[str, Callable[[dict[str, Any], Chat], list[Event]]] = {
    "receivedcallback": _read_message,
    "presencechatcallback": _read_presence,
}


def _is_broadcast(body: dict[str, Any]) -> bool:
    return True in (body.get("isNewsletter"), body.get("broadcast"))


def _chat(body: dict[str, Any], channel: str) -> Chat | None:
    from_me = body.get("fromMe") is True
    if _is_broadcast(body):
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
    sender=SENDER,
)
