"""The content of a message of Meta's Cloud API. `type` is the name of the field that holds it.

A message without that field, which Meta could not convert, is of kind `unknown`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from buffer.models import Ignored
from gateways.answers import ad_opener, ad_referral, form_content, json_text
from gateways.content import (
    Content,
    amount_of,
    choice_content,
    contacts_content,
    item_of,
    location_content,
    media_of,
    order_of,
    product_of,
    unknown_content,
)
from gateways.fields import first_object, first_text, number_of, object_of, objects_of, text_of
from gateways.ignored import ignored
from gateways.raw import words_of

MEDIA_KINDS = {"image": "image", "sticker": "image", "audio": "audio", "video": "video", "document": "document"}
NOT_MESSAGES = {
    "pin": "pin",
    "pin_in_chat": "pin",
    "keep": "keep",
    "keep_in_chat": "keep",
    "call": "call",
    "call_log": "call",
    "encrypted_reaction": "encrypted",
    "reaction": "encrypted",
    "status_mention": "status",
}
"""The types of what Meta could not convert that are no message, each with the reason why it is ignored."""


def read_content(item: dict[str, Any]) -> Content | Ignored:
    """Read one message. Return the reason if it is none (a removed reaction, a pin)."""
    name = text_of(item.get("type")) or next((name for name in item if name in KINDS), "")
    body = item.get(name)
    if name == "reaction":
        return _reaction(object_of(body))
    if name in MEDIA_KINDS and (fields := first_object(body)):
        return _media(name, fields)
    read = READERS.get(name)
    return (read(body) if read else None) or _unread(item, name, body)


def read_context(item: dict[str, Any], content: Content, author: str | None) -> dict[str, Any]:
    """Return the optional parts of a message: those of its content, and those around it."""
    if "context" not in item and "referral" not in item:
        return content.extra_with(participant=author)
    context = object_of(item.get("context"))
    product = object_of(context.get("referred_product"))
    return content.extra_with(
        quoted_id=text_of(context.get("id")),
        participant=author,
        forwarded=any(context.get(name) is True for name in ("forwarded", "frequently_forwarded")),
        product=product_of(product.get("catalog_id"), product.get("product_retailer_id")),
        referral=ad_referral(item.get("referral")),
    )


def _unread(item: dict[str, Any], name: str, body: Any) -> Content | Ignored:
    """Read a message of no known form by the words in it, or by the advertisement that the person came from."""
    fields = body if isinstance(body, dict | list) else None
    if name == "unsupported" and (reason := NOT_MESSAGES.get(text_of(object_of(body).get("type")) or "")):
        return ignored(reason)
    content = unknown_content(name, words_of(fields), fields or item.get("errors"))
    advert = ad_opener(ad_referral(item.get("referral"))) if content.text is None else None
    return advert or content


def _media(name: str, body: dict[str, Any]) -> Content:
    url, media_id, mime, caption = (text_of(body.get(part)) for part in ("url", "id", "mime_type", "caption"))
    media = media_of(url, media_id, mime, caption)
    if filename := text_of(body.get("filename")):
        media["filename"] = filename
    return Content(MEDIA_KINDS[name], caption, media, {"sticker": True} if name == "sticker" else {})


def _reaction(body: dict[str, Any]) -> Content | Ignored:
    emoji = text_of(body.get("emoji"))
    if emoji is None:
        return ignored("taken_back")
    return Content("reaction", emoji, extra={"target_id": text_of(body.get("message_id"))})


def _text(body: Any) -> Content | None:
    text = body if isinstance(body, str) else text_of(first_object(body).get("body"))
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


def read_interactive(body: Any) -> Content | None:
    """Read a tapped button, a chosen row or a filled-in form. Return None for anything else."""
    fields = object_of(body)
    for name in ("button_reply", "list_reply"):
        if reply := object_of(fields.get(name)):
            return choice_content(
                text_of(reply.get("id")), text_of(reply.get("title")), text_of(reply.get("description"))
            )
    return _form(object_of(fields.get("nfm_reply"))) or _answer(fields)


def _form(reply: dict[str, Any]) -> Content | None:
    """Read a filled-in form (Flow). Its answers are JSON text."""
    if not reply:
        return None
    return form_content(text_of(reply.get("name")), text_of(reply.get("body")), reply.get("response_json"))


def _answer(fields: dict[str, Any]) -> Content | None:
    """Read the answer to a request of another type, for example for permission to call."""
    name = text_of(fields.get("type"))
    reply = object_of(fields.get(name or ""))
    if not reply:
        return None
    title = first_text(reply, "title", "response", "body", "text")
    return choice_content(first_text(reply, "id") or name, title, None, json_text(reply))


def _button(body: Any) -> Content | None:
    button = object_of(body)
    return choice_content(text_of(button.get("payload")), text_of(button.get("text"))) if button else None


def _order(body: Any) -> Content | None:
    fields = object_of(body)
    words, items = text_of(fields.get("text")), [_item(item) for item in objects_of(fields.get("product_items"))]
    content = unknown_content("order", words, fields)
    if order := order_of(None, words, items):
        content.extra["order"] = order
    return content


def _item(item: dict[str, Any]) -> dict[str, Any]:
    price = amount_of(item.get("item_price"))
    return item_of(item.get("product_retailer_id"), item.get("name"), item.get("quantity"), price, item.get("currency"))


READERS: dict[str, Callable[[Any], Content | None]] = {
    "text": _text,
    "location": _location,
    "contacts": _contacts,
    "interactive": read_interactive,
    "button": _button,
    "order": _order,
}
KINDS = frozenset({*MEDIA_KINDS, *READERS})
"""The names of the fields with content, which tell the type of a message that does not name it."""
