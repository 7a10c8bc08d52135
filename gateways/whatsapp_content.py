"""Shared reading of WhatsApp's own `message` object. Evolution, WAHA, uazapi and Z-API use it.

Evolution passes the object on, WAHA and uazapi pass on parts of it, and Z-API's bodies are converted to it.
Libraries and versions serialise it a little differently, so fields are read loosely: a value of an unexpected type
counts as absent. The key that is present decides the type, never `messageType` alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from gateways.base import BadRequest
from gateways.content import Content, choice_content, contacts_content, location_content, media_of
from gateways.fields import first_text, number_of, object_of, objects_of, read_json, text_of

WRAPPERS = frozenset(
    {
        "ephemeralMessage",
        "viewOnceMessage",
        "viewOnceMessageV2",
        "viewOnceMessageV2Extension",
        "documentWithCaptionMessage",
        "editedMessage",
        "associatedChildMessage",
        "groupMentionedMessage",
        "lottieStickerMessage",
        "deviceSentMessage",
    }
)
"""Keys that hold another message object."""

ADDED_BY_GATEWAYS = ("base64", "mediaUrl", "speechToText")
"""Keys beside the content that gateways add for a file: its bytes, its address, its transcript."""

NOT_CONTENT = frozenset({*ADDED_BY_GATEWAYS, "messageContextInfo", "senderKeyDistributionMessage"})

WITHOUT_CONTENT = frozenset({"protocolMessage", "albumMessage"})
"""Keys of messages that hold nothing for the agent."""

MEDIA_KINDS = {
    "imageMessage": "image",
    "stickerMessage": "image",
    "audioMessage": "audio",
    "videoMessage": "video",
    "ptvMessage": "video",
    "documentMessage": "document",
}
PHONE_LINE = re.compile(r"^(?:[\w-]+\.)?TEL([^:\r\n]*):([^\r\n]*)", re.MULTILINE | re.IGNORECASE)
WHATSAPP_ID = re.compile(r"waid=(\d+)", re.IGNORECASE)


def unwrap(message: dict[str, Any]) -> dict[str, Any]:
    """Return the message inside its wrappers (disappearing, view once, with caption …), at any depth."""
    while not WRAPPERS.isdisjoint(message) and (inner := _wrapped(message)):
        message = {name: message[name] for name in ADDED_BY_GATEWAYS if name in message} | inner
    return message


def _wrapped(message: dict[str, Any]) -> dict[str, Any]:
    for name in WRAPPERS.intersection(message):
        if wrapper := object_of(message.get(name)):
            return object_of(wrapper.get("message")) or wrapper
    return {}


def read_content(message: dict[str, Any], message_id: str | None) -> Content | None:
    """Read an unwrapped message. Return None if it has no content (protocol, album header, removed reaction)."""
    if text := text_of(message.get("conversation")):
        return Content("text", text)
    parts = {name: body for name, body in message.items() if name not in NOT_CONTENT and body not in (None, "")}
    for name, body in parts.items():
        if name in WITHOUT_CONTENT:
            return None
        if name in MEDIA_KINDS and isinstance(body, dict):
            return _media(name, body, message, message_id)
        if name in READERS and isinstance(body, dict):
            return READERS[name](body)
    return Content("unknown", extra={"raw_type": next(iter(parts))}) if parts else None


def edited_text(edited: Any) -> str | None:
    """Return the new text or caption in the `editedMessage` of an edit."""
    content = read_content(unwrap({"editedMessage": edited}), None)
    return content.text if content else None


def quoted_id(data: dict[str, Any], message: dict[str, Any]) -> str | None:
    """Return the id of the quoted message. It is in the `contextInfo` beside the message or inside its content."""
    for holder in (data, *message.values()):
        context = holder.get("contextInfo") if isinstance(holder, dict) else None
        if isinstance(context, dict) and (quoted := first_text(context, "stanzaId", "stanzaID")):
            return quoted
    return None


def _media(name: str, body: dict[str, Any], message: dict[str, Any], message_id: str | None) -> Content:
    # not body["url"]: the file there is encrypted
    caption = text_of(body.get("caption"))
    media = media_of(text_of(message.get("mediaUrl")), message_id, text_of(body.get("mimetype")), caption)
    if name == "documentMessage" and (filename := first_text(body, "fileName", "title")):
        media["filename"] = filename
    if base64 := text_of(message.get("base64")):
        media["base64"] = base64
    extra = {"sticker": True} if name == "stickerMessage" else {}
    return Content(MEDIA_KINDS[name], caption or _transcript(message), media, extra)


def _transcript(message: dict[str, Any]) -> str | None:
    text = text_of(message.get("speechToText")) or ""
    return text.removeprefix("[audio]").strip() or None


def _text(body: dict[str, Any]) -> Content | None:
    text = text_of(body.get("text"))
    return Content("text", text) if text else None


def _location(body: dict[str, Any]) -> Content:
    latitude, longitude = number_of(body.get("degreesLatitude")), number_of(body.get("degreesLongitude"))
    content = location_content(latitude, longitude, text_of(body.get("name")), text_of(body.get("address")))
    content.text = content.text or text_of(body.get("caption"))
    return content


def _contact(body: dict[str, Any]) -> Content:
    return contacts_content([_card(body)])


def _contacts(body: dict[str, Any]) -> Content:
    return contacts_content([_card(card) for card in objects_of(body.get("contacts"))])


def _card(card: dict[str, Any]) -> dict[str, Any]:
    lines = PHONE_LINE.findall(text_of(card.get("vcard")) or "")
    return {"name": text_of(card.get("displayName")), "phones": [_phone(*line) for line in lines]}


def _phone(parameters: str, written: str) -> str:
    registered = WHATSAPP_ID.search(parameters)
    return registered.group(1) if registered else written.strip()


def _reaction(body: dict[str, Any]) -> Content | None:
    emoji = text_of(body.get("text"))
    target_id = first_text(object_of(body.get("key")), "id", "ID")
    return Content("reaction", emoji, extra={"target_id": target_id}) if emoji else None


def _list_choice(body: dict[str, Any]) -> Content:
    reply = object_of(body.get("singleSelectReply"))
    return choice_content(first_text(reply, "selectedRowId", "selectedRowID"), text_of(body.get("title")))


def _button(body: dict[str, Any]) -> Content:
    choice_id = first_text(body, "selectedButtonId", "selectedButtonID", "selectedId", "selectedID")
    return choice_content(choice_id, text_of(body.get("selectedDisplayText")))


def _native_flow(body: dict[str, Any]) -> Content:
    flow = object_of(body.get("nativeFlowResponseMessage"))
    params = _params(first_text(flow, "paramsJson", "paramsJSON"))
    title = text_of(object_of(body.get("body")).get("text")) or text_of(params.get("display_text"))
    return choice_content(text_of(params.get("id")), title)


def _params(written: str | None) -> dict[str, Any]:
    try:
        return object_of(read_json((written or "{}").encode()))
    except BadRequest:
        return {}


READERS: dict[str, Callable[[dict[str, Any]], Content | None]] = {
    "extendedTextMessage": _text,
    "locationMessage": _location,
    "liveLocationMessage": _location,
    "contactMessage": _contact,
    "contactsArrayMessage": _contacts,
    "reactionMessage": _reaction,
    "listResponseMessage": _list_choice,
    "buttonsResponseMessage": _button,
    "templateButtonReplyMessage": _button,
    "interactiveResponseMessage": _native_flow,
}
