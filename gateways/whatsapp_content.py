"""Shared reading of WhatsApp's own `message` object. Evolution, WAHA, uazapi and Z-API use it.

Evolution passes the object on, WAHA and uazapi pass on parts of it, and Z-API's bodies are converted to it.
Libraries and versions serialise it a little differently, so fields are read loosely: a value of an unexpected type
counts as absent. The key that is present decides the type, never `messageType` alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from buffer.models import Ignored
from gateways.content import Content, contacts_content, location_content, media_of, unknown_content
from gateways.fields import first_text, number_of, object_of, objects_of, text_of, time_of
from gateways.ignored import ignored
from gateways.raw import words_of
from gateways.whatsapp_choices import CHOICE_READERS
from gateways.whatsapp_commerce import COMMERCE_READERS, order_inside

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
        "botInvokeMessage",
        "botForwardedMessage",
        "spoilerMessage",
        "questionMessage",
    }
)
"""Keys that hold another message object. A key that is not in the list is looked into where nothing else is known."""

TRANSCRIPTS = ("speechToText", "transcription", "transcript")

ADDED_BY_GATEWAYS = ("base64", "mediaUrl", *TRANSCRIPTS)
"""Keys beside the content that gateways add for a file: its bytes, its address, its transcript."""

NOT_CONTENT = frozenset({*ADDED_BY_GATEWAYS, "messageContextInfo", "contextInfo", "senderKeyDistributionMessage"})

WITHOUT_CONTENT = {
    "albumMessage": "album",
    "protocolMessage": "protocol",
    "fastRatchetKeySenderKeyDistributionMessage": "protocol",
    "initialSecurityNotificationSettingSync": "protocol",
    "messageHistoryBundle": "protocol",
    "messageHistoryNotice": "protocol",
    "stickerSyncRmrMessage": "protocol",
    "chat": "protocol",
    "pinInChatMessage": "pin",
    "keepInChatMessage": "keep",
    "call": "call",
    "callLogMesssage": "call",
    "callLogMessage": "call",
    "bcallMessage": "call",
    "scheduledCallEditMessage": "call",
    "encReactionMessage": "encrypted",
    "encCommentMessage": "encrypted",
    "encEventResponseMessage": "encrypted",
    "encEventUpdateMessage": "encrypted",
    "secretEncryptedMessage": "encrypted",
    "placeholderMessage": "waiting",
    "statusMentionMessage": "status",
    "groupStatusMentionMessage": "status",
    "statusNotificationMessage": "status",
    "statusStickerInteractionMessage": "status",
    "statusAddYours": "status",
    "groupStatusMessage": "status",
    "groupStatusMessageV2": "status",
    "declinePaymentRequestMessage": "notification",
    "cancelPaymentRequestMessage": "notification",
    "systemMessage": "notification",
    "limitSharingMessage": "notification",
    "requestPhoneNumberMessage": "notification",
}
"""Keys of what is no message, each with the reason why it is ignored."""

MEDIA_KINDS = {
    "imageMessage": "image",
    "stickerMessage": "image",
    "audioMessage": "audio",
    "videoMessage": "video",
    "ptvMessage": "video",
    "documentMessage": "document",
}
REVOKED = ("REVOKE", "0")
EDITED = ("MESSAGE_EDIT", "14")
"""The types of `protocolMessage` that change a message, by name and number."""

VIEW_ONCE = "view_once"
"""The `raw_type` of a message that can be viewed once, of which the gateway has only a stub."""

VIEW_ONCE_WRAPPER = "viewoncemessage"
"""The beginning of the names of the wrappers of such messages, in lower case."""

CARD_LISTS = ("contactMessage", "contactsArrayMessage")
PHONE_LINE = re.compile(r"^(?:[\w-]+\.)?TEL([^:\r\n]*):([^\r\n]*)", re.MULTILINE | re.IGNORECASE)
WHATSAPP_ID = re.compile(r"waid=(\d+)", re.IGNORECASE)


class ProtocolChange(NamedTuple):
    """A change of another message: an edit with its new text, or a revoke."""

    is_edit: bool
    target_id: str | None
    text: str | None
    edited_ms: int | None


def unwrap(message: dict[str, Any]) -> dict[str, Any]:
    """Return the message inside its wrappers (disappearing, view once, with caption …), at any depth."""
    while not WRAPPERS.isdisjoint(message) and (inner := _wrapped(message)):
        message = {name: message[name] for name in ADDED_BY_GATEWAYS if name in message} | inner
    return message


def _wrapped(message: dict[str, Any]) -> dict[str, Any]:
    for name in WRAPPERS.intersection(message):
        if wrapper := object_of(message.get(name)):
            return object_of(wrapper["message"]) if "message" in wrapper else wrapper
    return {}


def read_content(message: dict[str, Any], message_id: str | None) -> Content | Ignored:
    """Read an unwrapped message. Return the reason if it is none (protocol, pin, call, album header …)."""
    return _content_of(message, message_id, wrappers_left=3)


def _content_of(message: dict[str, Any], message_id: str | None, wrappers_left: int) -> Content | Ignored:
    if text := text_of(message.get("conversation")):
        return Content("text", text)
    parts = {name: body for name, body in message.items() if name not in NOT_CONTENT and body not in (None, "")}
    for name, body in parts.items():
        if reason := WITHOUT_CONTENT.get(name):
            return ignored(reason)
        if name in CARD_LISTS and isinstance(body, list):
            return _contacts({"contacts": body})
        fields = _fields(body)
        if name in MEDIA_KINDS and fields is not None:
            return _media(name, fields, message, message_id)
        if name in READERS and fields is not None:
            return READERS[name](fields)
    return _unknown(parts, message, message_id, wrappers_left) if parts else ignored("empty")


def _fields(body: Any) -> dict[str, Any] | None:
    """Return the fields of content. A list in their place counts as its first object."""
    if isinstance(body, dict):
        return body
    return next((item for item in body if isinstance(item, dict)), None) if isinstance(body, list) else None


def _unknown(
    parts: dict[str, Any], message: dict[str, Any], message_id: str | None, wrappers_left: int
) -> Content | Ignored:
    """Read content of no known kind: as the message that it wraps, else by the words in it."""
    name, body = next(iter(parts.items()))
    if name == "extendedTextMessage" and isinstance(body, str):
        return Content("text", body)
    inner = object_of(object_of(body).get("message"))
    if not inner and name.lower().startswith(VIEW_ONCE_WRAPPER):
        return unknown_content(VIEW_ONCE)
    if not inner and name in WRAPPERS:
        return ignored("empty")
    if inner and wrappers_left:
        beside = {added: message[added] for added in ADDED_BY_GATEWAYS if added in message}
        content = _content_of(unwrap(beside | inner), message_id, wrappers_left - 1)
        if isinstance(content, Ignored) or content.kind != "unknown":
            return content
    content = unknown_content(name, words_of(body), body)
    if order := order_inside(body):
        content.extra["order"] = order
    return content


def view_once_id(message_id: str | None) -> str | None:
    """Return the id for dedupe of the stub of a message that can be viewed once.

    The message itself, if it comes after all, has the same id and must not be a duplicate.
    """
    return f"{message_id}#{VIEW_ONCE}" if message_id else None


def protocol_change(protocol: dict[str, Any]) -> ProtocolChange | None:
    """Return the edit or revoke in a `protocolMessage`, None for WhatsApp's own traffic.

    Its `type` is a number or a name. Some libraries leave out the number 0, a revoke.
    """
    edited, key = protocol.get("editedMessage"), object_of(protocol.get("key"))
    implied = EDITED[0] if edited else REVOKED[0] if protocol.keys() == {"key"} else ""
    action = (text_of(protocol.get("type")) or implied).upper()
    if action not in EDITED + REVOKED:
        return None
    edited_ms = time_of(protocol.get("timestampMs", protocol.get("timestampMS")))
    text = edited_text(edited) if action in EDITED else None
    return ProtocolChange(action in EDITED, first_text(key, "id", "ID"), text, edited_ms)


def edited_text(edited: Any) -> str | None:
    """Return the new text or caption in the `editedMessage` of an edit."""
    if isinstance(edited, str):
        return edited or None
    content = read_content(unwrap({"editedMessage": edited}), None)
    return content.text if isinstance(content, Content) else None


def _media(name: str, body: dict[str, Any], message: dict[str, Any], message_id: str | None) -> Content:
    # not body["url"]: the file there is encrypted
    caption = text_of(body.get("caption"))
    mime = text_of(body.get("mimetype")) or text_of(body.get("mime_type"))
    media = media_of(text_of(message.get("mediaUrl")), message_id, mime, caption)
    if name == "documentMessage" and (filename := first_text(body, "fileName", "filename", "title")):
        media["filename"] = filename
    if base64 := text_of(message.get("base64")) or text_of(body.get("base64")):
        media["base64"] = base64
    extra: dict[str, Any] = {"sticker": True} if name == "stickerMessage" else {}
    return with_transcript(Content(MEDIA_KINDS[name], caption, media, extra), message)


def with_transcript(content: Content, holder: dict[str, Any]) -> Content:
    """Keep the speech of a file as its `transcript` and, where it has no other text, as its text."""
    if transcript := (first_text(holder, *TRANSCRIPTS) or "").removeprefix("[audio]").strip():
        content.text = content.text or transcript
        content.extra["transcript"] = transcript
    return content


def _text(body: dict[str, Any]) -> Content | Ignored:
    text = text_of(body.get("text"))
    return Content("text", text) if text else ignored("empty")


def _location(body: dict[str, Any]) -> Content:
    latitude, longitude = number_of(body.get("degreesLatitude")), number_of(body.get("degreesLongitude"))
    content = location_content(latitude, longitude, text_of(body.get("name")), text_of(body.get("address")))
    content.text = content.text or first_text(body, "caption", "comment")
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


def _reaction(body: dict[str, Any]) -> Content | Ignored:
    emoji = text_of(body.get("text"))
    target_id = first_text(object_of(body.get("key")), "id", "ID")
    return Content("reaction", emoji, extra={"target_id": target_id}) if emoji else ignored("taken_back")


READERS: dict[str, Callable[[dict[str, Any]], Content | Ignored]] = {
    "extendedTextMessage": _text,
    "locationMessage": _location,
    "liveLocationMessage": _location,
    "contactMessage": _contact,
    "contactsArrayMessage": _contacts,
    "reactionMessage": _reaction,
    **CHOICE_READERS,
    **COMMERCE_READERS,
}
