"""The content of a WAHA payload: its common fields first, then WhatsApp's own message in the engine's data."""

from __future__ import annotations

import re
from typing import Any

from gateways.content import Content, media_of, unknown_content
from gateways.fields import object_of, text_of
from gateways.whatsapp_content import read_content, unwrap

MIME_KINDS = ("image", "audio", "video")
TYPE_KINDS = {
    "image": "image",
    "sticker": "image",
    "audio": "audio",
    "ptt": "audio",
    "video": "video",
    "ptv": "video",
    "document": "document",
}
"""The kind by the engine WEBJS's `type`."""

TYPES_WITHOUT_CONTENT = frozenset(
    {
        "chat",
        "call_log",
        "ciphertext",
        "e2e_notification",
        "gp2",
        "notification",
        "notification_template",
        "broadcast_notification",
        "protocol",
        "revoked",
    }
)
FULL_NAME = re.compile(r"^FN[^:\r\n]*:([^\r\n]+)", re.MULTILINE | re.IGNORECASE)


def read_payload(payload: dict[str, Any]) -> Content | None:
    """Read a message. Return None if it has no content."""
    inner = _whatsapp_content(payload)
    if payload.get("hasMedia") is True or object_of(payload.get("media")):
        return _media(payload, inner)
    if place := object_of(payload.get("location")):
        return _location(place)
    if cards := payload.get("vCards"):
        return _contacts(cards if isinstance(cards, list) else [])
    if inner and inner.kind not in ("text", "unknown"):
        return inner
    if text := text_of(payload.get("body")):
        return Content("text", text)
    return inner or _unknown(payload)


def read_reaction(payload: dict[str, Any]) -> Content | None:
    """Read a reaction. Return None if it was removed."""
    reaction = object_of(payload.get("reaction"))
    emoji = text_of(reaction.get("text"))
    return Content("reaction", emoji, extra={"target_id": text_of(reaction.get("messageId"))}) if emoji else None


def _whatsapp_content(payload: dict[str, Any]) -> Content | None:
    """Read WhatsApp's own message, which the engines NOWEB and GOWS pass on."""
    data = object_of(payload.get("_data"))
    message = object_of(data.get("message")) or object_of(data.get("Message"))
    return read_content(unwrap(message), None) if message else None


def _webjs_type(payload: dict[str, Any]) -> str | None:
    return text_of(object_of(payload.get("_data")).get("type"))


def _unknown(payload: dict[str, Any]) -> Content | None:
    raw_type = _webjs_type(payload)
    return unknown_content(raw_type) if raw_type and raw_type not in TYPES_WITHOUT_CONTENT else None


def _media(payload: dict[str, Any], inner: Content | None) -> Content:
    """Read a file. If WAHA did not download it, `media` has no url or is absent, and the engine's data fills in."""
    file, known = object_of(payload.get("media")), (inner.media if inner else None) or {}
    mime = text_of(file.get("mimetype")) or known.get("mime")
    url = text_of(file.get("url")) or text_of(payload.get("mediaUrl"))
    media = media_of(url, None, mime, text_of(payload.get("body")))
    if filename := text_of(file.get("filename")) or known.get("filename"):
        media["filename"] = filename
    raw_type = _webjs_type(payload)
    kind = inner.kind if inner and known else _kind(mime, raw_type)
    sticker = raw_type == "sticker" or (inner is not None and "sticker" in inner.extra)
    return Content(kind, media["caption"], media, {"sticker": True} if sticker else {})


def _kind(mime: str | None, raw_type: str | None) -> str:
    if raw_type in TYPE_KINDS:
        return TYPE_KINDS[raw_type]
    family = (mime or "").partition("/")[0].lower()
    return family if family in MIME_KINDS else "document" if family else "unknown"


def _location(place: dict[str, Any]) -> Content | None:
    # not the body: the engine WEBJS puts a picture of the map there, in base64
    location = {
        "degreesLatitude": place.get("latitude"),
        "degreesLongitude": place.get("longitude"),
        "name": place.get("name"),
        "address": place.get("address"),
        "caption": place.get("description"),
    }
    return read_content({"locationMessage": location}, None)


def _contacts(cards: list[Any]) -> Content | None:
    contacts = [{"displayName": _full_name(card), "vcard": card} for card in cards if isinstance(card, str)]
    return read_content({"contactsArrayMessage": {"contacts": contacts}}, None)


def _full_name(card: str) -> str | None:
    found = FULL_NAME.search(card)
    return found.group(1).strip() if found else None
