"""What a WhatsApp message says, read from the `message` object that Evolution passes on.

Every version serialises it a little differently, so fields are read loosely: a value of an unexpected type
counts as absent. The type is decided by which key is present, never by `messageType` alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from gateways.base import BadRequest, number_of, object_of, read_json, text_of
from gateways.content import Content

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
BESIDE = ("base64", "mediaUrl", "speechToText")
NOT_SAID = frozenset({*BESIDE, "messageContextInfo", "senderKeyDistributionMessage"})
SILENT = frozenset({"protocolMessage", "albumMessage"})
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
    """Take a message out of its wrappers (disappearing, view once, with caption …), however deep."""
    while not WRAPPERS.isdisjoint(message) and (inner := _wrapped(message)):
        message = {name: message[name] for name in BESIDE if name in message} | inner
    return message


def _wrapped(message: dict[str, Any]) -> dict[str, Any]:
    for name in WRAPPERS.intersection(message):
        if wrapper := object_of(message.get(name)):
            return object_of(wrapper.get("message")) or wrapper
    return {}


def read_content(message: dict[str, Any], message_id: str | None) -> Content | None:
    """Read an unwrapped message; None when it says nothing (protocol, album header, removed reaction)."""
    if text := text_of(message.get("conversation")):
        return Content("text", text)
    said = {name: body for name, body in message.items() if name not in NOT_SAID and body not in (None, "")}
    for name, body in said.items():
        if name in SILENT:
            return None
        if name in MEDIA_KINDS and isinstance(body, dict):
            return _media(name, body, message, message_id)
        if name in READERS and isinstance(body, dict):
            return READERS[name](body)
    return Content("unknown", extra={"raw_type": next(iter(said))}) if said else None


def edited_text(edited: Any) -> str | None:
    """The new text (or caption) in the `editedMessage` of an edit."""
    content = read_content(unwrap({"editedMessage": edited}), None)
    return content.text if content else None


def quoted_id(data: dict[str, Any], message: dict[str, Any]) -> str | None:
    """The id of the message this one answers: beside the message, or inside what it says."""
    for holder in (data, *message.values()):
        context = holder.get("contextInfo") if isinstance(holder, dict) else None
        if isinstance(context, dict) and (quoted := first_text(context, "stanzaId", "stanzaID")):
            return quoted
    return None


def first_text(body: Mapping[str, Any], *names: str) -> str | None:
    """The first of these fields that holds text."""
    for name in names:
        if text := text_of(body.get(name)):
            return text
    return None


def _media(name: str, body: dict[str, Any], message: dict[str, Any], message_id: str | None) -> Content:
    # body["url"] is an encrypted blob on WhatsApp's servers: of no use to anybody else
    caption = text_of(body.get("caption"))
    media: dict[str, Any] = {
        "url": text_of(message.get("mediaUrl")),
        "id": message_id,
        "mime": text_of(body.get("mimetype")),
        "caption": caption,
    }
    if name == "documentMessage" and (filename := first_text(body, "fileName", "title")):
        media["filename"] = filename
    if base64 := text_of(message.get("base64")):
        media["base64"] = base64
    extra = {"sticker": True} if name == "stickerMessage" else {}
    return Content(MEDIA_KINDS[name], caption or _transcript(message), media, extra)


def _transcript(message: dict[str, Any]) -> str | None:
    spoken = text_of(message.get("speechToText")) or ""
    return spoken.removeprefix("[audio]").strip() or None


def _text(body: dict[str, Any]) -> Content | None:
    text = text_of(body.get("text"))
    return Content("text", text) if text else None


def _location(body: dict[str, Any]) -> Content:
    location = {
        "lat": number_of(body.get("degreesLatitude")),
        "lng": number_of(body.get("degreesLongitude")),
        "name": text_of(body.get("name")),
        "address": text_of(body.get("address")),
    }
    written = [text for text in (location["name"], location["address"]) if text]
    text = ", ".join(map(str, written)) or text_of(body.get("caption"))
    return Content("location", text, extra={"location": location})


def _contact(body: dict[str, Any]) -> Content:
    return _contacts({"contacts": [body]})


def _contacts(body: dict[str, Any]) -> Content:
    cards = body.get("contacts")
    contacts = [_card(card) for card in cards if isinstance(card, dict)] if isinstance(cards, list) else []
    names = [str(contact["name"]) for contact in contacts if contact["name"]]
    return Content("contact", ", ".join(names) or None, extra={"contacts": contacts})


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


def _choice(choice_id: str | None, title: str | None) -> Content:
    interactive = {"id": choice_id, "title": title}
    return Content("interactive", title or choice_id, extra={"interactive": interactive})


def _list_choice(body: dict[str, Any]) -> Content:
    reply = object_of(body.get("singleSelectReply"))
    return _choice(first_text(reply, "selectedRowId", "selectedRowID"), text_of(body.get("title")))


def _button(body: dict[str, Any]) -> Content:
    choice_id = first_text(body, "selectedButtonId", "selectedButtonID", "selectedId", "selectedID")
    return _choice(choice_id, text_of(body.get("selectedDisplayText")))


def _native_flow(body: dict[str, Any]) -> Content:
    flow = object_of(body.get("nativeFlowResponseMessage"))
    params = _params(first_text(flow, "paramsJson", "paramsJSON"))
    title = text_of(object_of(body.get("body")).get("text")) or text_of(params.get("display_text"))
    return _choice(text_of(params.get("id")), title)


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
