"""uazapi: two envelopes with the instance's token in the body. The content is partly WhatsApp's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from buffer.models import Edit, Event, Ignored, Message, Presence, Revoke
from buffer.presence import KIND_OF_STATE
from config.settings import Settings
from gateways.base import BadRequest, Gateway, Request
from gateways.content import Content
from gateways.credentials import STATIC_TOKEN, header_scheme, secrets_equal, token_matches
from gateways.fields import first_object, first_text, object_of, objects_in, read_object, text_of, time_of
from gateways.ignored import ignored, misfit
from gateways.jid import Chat, chat_of, no_chat, person_of
from gateways.uazapi_content import context_in, is_protocol, read_context, read_message, read_protocol
from gateways.uazapi_send import SENDER, TRACK_SOURCE, plain_braces, whatsapp_id_in
from gateways.whatsapp_content import VIEW_ONCE, view_once_id
from gateways.whatsapp_context import Sides, in_context

NAME = "uazapi"
ACTIONS = {
    "revoke": frozenset({"deleted", "delete", "revoked", "revoke"}),
    "edit": frozenset({"edited", "edit", "message_edit"}),
}
"""Marks of a change of a message, in lower case."""

ACTION_OF_EVENT = dict.fromkeys(("messages_delete", "messages_deleted", "message_deleted"), "revoke")
UPDATE_FIELDS = {"chatid": "Chat", "fromMe": "IsFromMe", "sender_pn": "Sender", "sender_lid": "SenderAlt"}
"""uazapi's names of the fields of an address, and those of whatsmeow, its library."""


def is_open(settings: Settings) -> bool:
    """Return True if the token of the instance is configured."""
    return settings.uazapi_token is not None


def verify(request: Request, settings: Settings) -> bool:
    """Return True if the request carries the token, in the body or as other static tokens."""
    if token_matches(request, settings.uazapi_token, "token"):
        return True
    try:
        body = read_object(request.body)
    except BadRequest:
        return False
    return secrets_equal(text_of(body.get("token")) or "", settings.uazapi_token)


def parse(request: Request) -> list[Event]:
    """Return the events of one body, or why it gives none. Raises BadRequest."""
    body = read_object(request.body)
    name = (first_text(body, "EventType", "event") or "").lower()
    reader = READERS.get(name)
    if reader is None:
        reason = "call" if name == "call" else "unknown_event"
        return [ignored(reason) if name or isinstance(body.get("event"), dict) else misfit(None, body)]
    channel = first_text(body, "instanceName", "instance", "owner")
    if channel is None and reader is not _read_update:
        raise BadRequest("`instanceName` is missing: it must be the name of the uazapi instance, a string")
    return reader(body, channel or "")


def _read_messages(body: dict[str, Any], channel: str) -> list[Event]:
    if "message" not in body:
        body = _without_envelope(body)
    events = [_read_message(message, body, channel) for message in _messages(body)]
    return events or [misfit("messages", body)]


def _without_envelope(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body whose messages are inside `data` as if they were beside it."""
    data = object_of(body.get("data"))
    if not any(objects_in(data.get(name)) for name in ("message", "messages")):
        return body
    return {name: value for name, value in body.items() if name != "data"} | data


def _messages(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the messages of a body: an object, a list, or the fields of one message in the body itself."""
    for name in ("message", "data", "messages"):
        if (value := body.get(name)) and (found := objects_in(value)):
            return found
    return [body] if first_text(body, "chatid", "messageid") else []


def _read_message(message: dict[str, Any], body: dict[str, Any], channel: str) -> Event:
    chat = _chat(message, object_of(body.get("chat")), channel)
    if chat is None:
        return no_chat(message.get("chatid"), "messages", message)
    message_id = _message_id(message)
    if is_protocol(message) and (change := _change(message, chat)):
        return change
    if message_id and _is_revoked(message):
        return Revoke(chat.conversation, message_id)
    content = read_message(message, message_id)
    contexts = context_in(message)
    if contexts or message.get("quoted") or message.get("forwarded"):
        content = in_context(content, read_context(message, contexts, _sides(message, body, chat)))
    if isinstance(content, Ignored):
        return content
    if target_id := text_of(message.get("edited")):
        return _edit(message, chat, target_id, content.text)
    return _message(message, chat, message_id, content)


def _sides(message: dict[str, Any], body: dict[str, Any], chat: Chat) -> Sides:
    names = ("chatid", "chatlid") if chat.from_me else ("chatid", "chatlid", "sender_pn", "sender", "sender_lid")
    return Sides([message.get(name) for name in names], [body.get("owner"), message.get("owner")], not chat.is_group)


def _change(message: dict[str, Any], chat: Chat) -> Event | None:
    """Return the edit or revoke in a message of the protocol, None for any other of its messages."""
    change = read_protocol(message)
    if change is None or change.target_id is None:
        return None
    if change.is_edit:
        return _edit(message, chat, change.target_id, change.text)
    return Revoke(chat.conversation, change.target_id)


def _is_revoked(message: dict[str, Any]) -> bool:
    """Return True for a message that is marked as deleted."""
    if True in (message.get("deleted"), message.get("isDeleted"), message.get("revoked")):
        return True
    status = message.get("status")
    return isinstance(status, str) and bool(status) and status.lower() in ACTIONS["revoke"]


def _action(update: dict[str, Any]) -> str | None:
    """Return `revoke` or `edit` for an update that is marked as one."""
    if _is_revoked(update):
        return "revoke"
    for name in ("status", "Type", "type", "State", "state"):
        for action, words in ACTIONS.items():
            if (text_of(update.get(name)) or "").lower() in words:
                return action
    return None


def _message_id(message: dict[str, Any]) -> str | None:
    """Return WhatsApp's id of the message. uazapi's own `id` has it behind the number of the instance."""
    return whatsapp_id_in(text_of(message.get("messageid"))) or whatsapp_id_in(text_of(message.get("id")))


def _message(message: dict[str, Any], chat: Chat, message_id: str | None, content: Content) -> Message:
    return Message(
        conversation=chat.conversation,
        message_id=message_id,
        timestamp_ms=time_of(message.get("messageTimestamp")),
        kind=content.kind,
        text=plain_braces(content.text) if chat.from_me and content.text else content.text,
        media=content.media,
        sender_name=text_of(message.get("senderName")),
        from_me=chat.from_me,
        is_group=chat.is_group,
        conversation_alias=chat.alias,
        dedupe_id=view_once_id(message_id) if content.extra.get("raw_type") == VIEW_ONCE else None,
        extra=content.extra_with(
            participant=_author(message) if chat.is_group else None,
            via_api=chat.from_me and _is_true(message.get("wasSentByApi")),
            own_mark=_own_mark(message) if chat.from_me else None,
        ),
    )


def _own_mark(message: dict[str, Any]) -> str | None:
    """Return the mark of ours in an echo. Another program may mark its messages in the same field."""
    source = text_of(message.get("track_source")) or TRACK_SOURCE
    return text_of(message.get("track_id")) if source == TRACK_SOURCE else None


def _edit(message: dict[str, Any], chat: Chat, target_id: str, text: str | None) -> Event:
    # an edit is a message with an id of its own and the id of its target in `edited`
    if text is None:
        return ignored("edit_without_text")
    return Edit(chat.conversation, target_id, text, time_of(message.get("messageTimestamp")), chat.from_me)


def _read_update(body: dict[str, Any], channel: str) -> list[Event]:
    """Read a change of messages. Receipts, the usual case, give nothing."""
    update = first_object(body.get("event")) or first_object(body.get("message")) or first_object(body.get("data"))
    update = update or body
    action = _action({"state": body.get("state")} | update)
    action = action or ACTION_OF_EVENT.get((text_of(body.get("EventType")) or "").lower())
    if action is None or not channel:
        return [ignored("unknown_event")]
    address = {name: first_text(update, name, other) for name, other in UPDATE_FIELDS.items()}
    chat = _chat(update | address, object_of(body.get("chat")), channel)
    listed = update.get("MessageIDs")
    ids = [text_of(each) for each in listed] if isinstance(listed, list) else [_message_id(update)]
    if chat is None or not any(ids):
        return [no_chat(address["chatid"], "messages_update", update)]
    if action == "revoke":
        return [Revoke(chat.conversation, target_id) for target_id in ids if target_id]
    return [_edit(update, chat, text_of(update.get("edited")) or ids[0] or "", text_of(update.get("text")))]


def _read_presence(body: dict[str, Any], channel: str) -> list[Event]:
    """Read a typing event, whose form is not documented: flat, or as whatsmeow has it, uazapi's library."""
    presence = object_of(body.get("event")) or object_of(body.get("data")) or body
    message = {
        "chatid": first_text(presence, "chatid", "Chat"),
        "isGroup": presence.get("IsGroup", presence.get("isGroup")),
        "fromMe": presence.get("IsFromMe", presence.get("fromMe")),
        "sender_pn": first_text(presence, "sender_pn", "Sender"),
        "sender_lid": first_text(presence, "sender_lid", "SenderAlt"),
    }
    chat = _chat(message, object_of(body.get("chat")), channel)
    state = (first_text(presence, "presence", "State", "state") or "").lower()
    if chat is None:
        return [no_chat(message["chatid"], "presence", presence)]
    if not state:
        return [misfit("presence", presence)]
    if chat.from_me or state not in KIND_OF_STATE:
        return [ignored("presence")]
    if state == "composing" and presence.get("Media") == "audio":
        state = "recording"
    return [Presence(chat.conversation, state, _author(message) if chat.is_group else None)]


READERS: dict[str, Callable[[dict[str, Any], str], list[Event]]] = {
    "messages": _read_messages,
    "message": _read_messages,
    "messages_update": _read_update,
    "messages_delete": _read_update,
    "messages_deleted": _read_update,
    "message_deleted": _read_update,
    "presence": _read_presence,
}


def _chat(message: dict[str, Any], kept: dict[str, Any], channel: str) -> Chat | None:
    """Return the chat of a message. `kept` is uazapi's own record of the chat, empty in one of the envelopes."""
    from_me = _is_true(message.get("fromMe"))
    names = [message.get("chatid"), kept.get("wa_chatid"), message.get("chatlid"), kept.get("wa_chatlid")]
    # in our own messages the sender is us
    senders = [] if from_me else [message.get("sender_pn"), message.get("sender"), message.get("sender_lid")]
    jids = [name for name in (*names, *senders) if _is_jid(text_of(name) or "")]
    is_group = _is_true(message.get("isGroup"))
    return chat_of((NAME, channel), next(iter(jids), None), jids, is_group=is_group, from_me=from_me)


def _is_jid(name: str) -> bool:
    """Return True for an address on WhatsApp, False for an id of uazapi's own (`r1a2b3c4`)."""
    return "@" in name or name.isdigit()


def _author(message: dict[str, Any]) -> str | None:
    return person_of([message.get("sender_pn"), message.get("sender"), message.get("sender_lid")]).peer


def _is_true(value: Any) -> bool:
    return value in (True, "true", "True")


GATEWAY = Gateway(
    NAME,
    is_open,
    verify,
    parse,
    security_schemes=STATIC_TOKEN
    | {"uazapiToken": header_scheme("token", "UAZAPI_TOKEN; uazapi itself puts it into the body, as `token`")},
    auth_hint="uazapi sends the token of the instance, UAZAPI_TOKEN, in the body",
    sender=SENDER,
)
