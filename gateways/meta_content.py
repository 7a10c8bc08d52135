"""The content of a message of Meta's Cloud API. `type` is the name of the field that holds it.

A message without that field, which Meta could not convert, is of kind `unknown`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateways.content import Content, choice_content, contacts_content, location_content, media_of, unknown_content
from gateways.fields import number_of, object_of, objects_of, text_of

MEDIA_KINDS = {"image": "image", "sticker": "image", "audio": "audio", "video": "video", "document": "document"}


def read_content(item: dict[str, Any]) -> Content | None:
    """Read one message. Return None if it removes a reaction."""
    name = text_of(item.get("type")) or ""
    body = item.get(name)
    if name == "reaction":
        return _reaction(object_of(body))
    if name in MEDIA_KINDS and isinstance(body, dict):
        return _media(name, body)
    read = READERS.get(name)
    return (read(body) if read else None) or unknown_content(name)


def quoted_id(item: dict[str, Any]) -> str | None:
    """Return the id of the quoted message."""
    return text_of(object_of(item.get("context")).get("id"))


def _media(name: str, body: dict[str, Any]) -> Content:
    url, media_id, mime, caption = (text_of(body.get(part)) for part in ("url", "id", "mime_type", "caption"))
    media = media_of(url, media_id, mime, caption)
    if filename := text_of(body.get("filename")):
        media["filename"] = filename
    return Content(MEDIA_KINDS[name], caption, media, {"sticker": True} if name == "sticker" else {})


def _reaction(body: dict[str, Any]) -> Content | None:
    emoji = text_of(body.get("emoji"))
    return Content("reaction", emoji, extra={"target_id": text_of(body.get("message_id"))}) if emoji else None


def _text(body: Any) -> Content | None:
    text = text_of(object_of(body).get("body"))
    return Content("text", text) if text else None


def _location(body: Any) -> Content | None:
    place = object_of(body)
    latitude, longitude = number_of(place.get("latitude")), number_of(place.get("longitude"))
    name, address = text_of(place.get("name")), text_of(place.get("address"))
    return location_content(latitude, longitude, name, address) if place else None


def _contacts(body: Any) -> Content | None:
    cards = [_card(card) for card in objects_of(body)]
    return contacts_content(cards) if cards else None


def _card(card: dict[str, Any]) -> dict[str, Any]:
    name = object_of(card.get("name"))
    phones = [text_of(phone.get("phone")) or text_of(phone.get("wa_id")) for phone in objects_of(card.get("phones"))]
    return {
        "name": text_of(name.get("formatted_name")) or text_of(name.get("first_name")),
        "phones": [phone for phone in phones if phone],
    }


def _interactive(body: Any) -> Content | None:
    for name in ("button_reply", "list_reply"):
        if reply := object_of(object_of(body).get(name)):
            return choice_content(text_of(reply.get("id")), text_of(reply.get("title")))
    return _form(object_of(object_of(body).get("nfm_reply")))


def _form(reply: dict[str, Any]) -> Content | None:
    """Read a filled-in form (Flow). Its answers stay JSON text."""
    if not reply:
        return None
    content = choice_content(text_of(reply.get("name")), text_of(reply.get("body")))
    if answers := text_of(reply.get("response_json")):
        content.extra["interactive"]["response_json"] = answers
    return content


def _button(body: Any) -> Content | None:
    button = object_of(body)
    return choice_content(text_of(button.get("payload")), text_of(button.get("text"))) if button else None


def _order(body: Any) -> Content:
    return unknown_content("order", text_of(object_of(body).get("text")))


READERS: dict[str, Callable[[Any], Content | None]] = {
    "text": _text,
    "location": _location,
    "contacts": _contacts,
    "interactive": _interactive,
    "button": _button,
    "order": _order,
}
