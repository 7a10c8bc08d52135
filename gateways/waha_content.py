"""What a WAHA payload says: by its common fields, else by the WhatsApp message in the engine's own data."""

from __future__ import annotations

import re
from typing import Any

from gateways.base import object_of, text_of
from gateways.content import Content
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
SILENT_TYPES = frozenset(
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
    """Read a payload; None when it says nothing."""
    inner = _inner(payload)
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


def reaction(payload: dict[str, Any]) -> Content | None:
    """Read the payload of a reaction; None when it was taken back."""
    told = object_of(payload.get("reaction"))
    emoji = text_of(told.get("text"))
    return Content("reaction", emoji, extra={"target_id": text_of(told.get("messageId"))}) if emoji else None


def _inner(payload: dict[str, Any]) -> Content | None:
    """What the engines NOWEB and GOWS pass on of WhatsApp's own message."""
    data = object_of(payload.get("_data"))
    message = object_of(data.get("message")) or object_of(data.get("Message"))
    return read_content(unwrap(message), None) if message else None


def _type(payload: dict[str, Any]) -> str | None:
    """The engine WEBJS's word for what kind of message it is."""
    return text_of(object_of(payload.get("_data")).get("type"))


def _unknown(payload: dict[str, Any]) -> Content | None:
    raw_type = _type(payload)
    return Content("unknown", extra={"raw_type": raw_type}) if raw_type and raw_type not in SILENT_TYPES else None


def _media(payload: dict[str, Any], inner: Content | None) -> Content:
    # without a download there is no url, or no media at all: the engine's data still tells what it was
    told, known = object_of(payload.get("media")), (inner.media if inner else None) or {}
    caption = text_of(payload.get("body"))
    mime = text_of(told.get("mimetype")) or known.get("mime")
    media: dict[str, Any] = {
        "url": text_of(told.get("url")) or text_of(payload.get("mediaUrl")),
        "id": None,
        "mime": mime,
        "caption": caption,
    }
    if filename := text_of(told.get("filename")) or known.get("filename"):
        media["filename"] = filename
    kind = inner.kind if inner and known else _kind(mime, _type(payload))
    sticker = _type(payload) == "sticker" or (inner is not None and "sticker" in inner.extra)
    return Content(kind, caption, media, {"sticker": True} if sticker else {})


def _kind(mime: str | None, raw_type: str | None) -> str:
    if raw_type in TYPE_KINDS:
        return TYPE_KINDS[raw_type]
    family = (mime or "").partition("/")[0].lower()
    return family if family in MIME_KINDS else "document" if family else "unknown"


def _location(place: dict[str, Any]) -> Content | None:
    # never the body: the engine WEBJS puts the picture of the map there, in base64
    told = {
        "degreesLatitude": place.get("latitude"),
        "degreesLongitude": place.get("longitude"),
        "name": place.get("name"),
        "address": place.get("address"),
        "caption": place.get("description"),
    }
    return read_content({"locationMessage": told}, None)


def _contacts(cards: list[Any]) -> Content | None:
    contacts = [{"displayName": _full_name(card), "vcard": card} for card in cards if isinstance(card, str)]
    return read_content({"contactsArrayMessage": {"contacts": contacts}}, None)


def _full_name(card: str) -> str | None:
    found = FULL_NAME.search(card)
    return found.group(1).strip() if found else None
