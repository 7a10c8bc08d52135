"""The content of a Z-API body: converts it to WhatsApp's own `message` object, which `whatsapp_content` reads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from gateways.fields import first_text, object_of, objects_of, text_of

NOT_CONTENT = frozenset({"externalAdReply", "statusImage", "statusVideo", "statusText", "referencedMessage"})


def to_whatsapp_message(body: dict[str, Any]) -> dict[str, Any]:
    """Return WhatsApp's `message` object for a body. Content of an unknown kind keeps its own key."""
    for name, convert in CONVERTERS.items():
        if isinstance(content := body.get(name), dict):
            return convert(content)
    unknown = (name for name, value in body.items() if isinstance(value, dict) and value and name not in NOT_CONTENT)
    return {name: body[name] for name in unknown}


def _text(content: dict[str, Any]) -> dict[str, Any]:
    return {"conversation": text_of(content.get("message"))}


def _file(name: str, content: dict[str, Any]) -> dict[str, Any]:
    file = {
        "caption": content.get("caption"),
        "mimetype": first_text(content, "mimeType", "mimetype"),
        "fileName": first_text(content, "fileName", "title"),
    }
    return {"mediaUrl": content.get(f"{name}Url"), f"{name}Message": file}


def _location(content: dict[str, Any]) -> dict[str, Any]:
    coordinates = {"degreesLatitude": content.get("latitude"), "degreesLongitude": content.get("longitude")}
    return {"locationMessage": coordinates | {"name": content.get("name"), "address": content.get("address")}}


def _contact(content: dict[str, Any]) -> dict[str, Any]:
    phones = content.get("phones")
    lines = [f"TEL:{phone}" for phone in map(text_of, phones) if phone] if isinstance(phones, list) else []
    card = "\n".join(lines) or content.get("vCard")
    return {"contactMessage": {"displayName": content.get("displayName"), "vcard": card}}


def _reaction(content: dict[str, Any]) -> dict[str, Any]:
    target_id = object_of(content.get("referencedMessage")).get("messageId")
    return {"reactionMessage": {"text": content.get("value"), "key": {"id": target_id}}}


def _button(content: dict[str, Any]) -> dict[str, Any]:
    return _choice(content.get("buttonId"), text_of(content.get("message")))


def _row(content: dict[str, Any]) -> dict[str, Any]:
    return _choice(content.get("selectedRowId"), first_text(content, "title", "message"))


def _vote(content: dict[str, Any]) -> dict[str, Any]:
    chosen = [text_of(option.get("name")) for option in objects_of(content.get("options"))]
    return _choice(None, ", ".join(filter(None, chosen)))


def _choice(choice_id: Any, title: str | None) -> dict[str, Any]:
    chosen = {"selectedButtonId": choice_id, "selectedDisplayText": title}
    return {"buttonsResponseMessage": chosen} if text_of(choice_id) or title else {}


CONVERTERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "text": _text,
    "hydratedTemplate": _text,
    "location": _location,
    "contact": _contact,
    "reaction": _reaction,
    "buttonsResponseMessage": _button,
    "listResponseMessage": _row,
    "pollVote": _vote,
} | {name: partial(_file, name) for name in ("image", "audio", "video", "document", "sticker")}
