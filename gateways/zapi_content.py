"""What a Z-API body says, told again in WhatsApp's own words so that one reader serves all."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from gateways.base import object_of, objects_of, text_of
from gateways.whatsapp_content import first_text

NOT_SAID = frozenset({"externalAdReply", "statusImage", "statusVideo", "statusText", "referencedMessage"})


def to_baileys_message(body: dict[str, Any]) -> dict[str, Any]:
    """The `message` object that WhatsApp itself would use; a content of another kind under its own key."""
    for name, words in WORDS.items():
        if isinstance(said := body.get(name), dict):
            return words(said)
    other = (name for name, said in body.items() if isinstance(said, dict) and said and name not in NOT_SAID)
    return {name: body[name] for name in other}


def _text(said: dict[str, Any]) -> dict[str, Any]:
    return {"conversation": text_of(said.get("message"))}


def _file(name: str, said: dict[str, Any]) -> dict[str, Any]:
    told = {
        "caption": said.get("caption"),
        "mimetype": first_text(said, "mimeType", "mimetype"),
        "fileName": first_text(said, "fileName", "title"),
    }
    return {"mediaUrl": said.get(f"{name}Url"), f"{name}Message": told}


def _location(said: dict[str, Any]) -> dict[str, Any]:
    coordinates = {"degreesLatitude": said.get("latitude"), "degreesLongitude": said.get("longitude")}
    return {"locationMessage": coordinates | {"name": said.get("name"), "address": said.get("address")}}


def _contact(said: dict[str, Any]) -> dict[str, Any]:
    phones = said.get("phones")
    lines = [f"TEL:{phone}" for phone in map(text_of, phones) if phone] if isinstance(phones, list) else []
    card = "\n".join(lines) or said.get("vCard")
    return {"contactMessage": {"displayName": said.get("displayName"), "vcard": card}}


def _reaction(said: dict[str, Any]) -> dict[str, Any]:
    target_id = object_of(said.get("referencedMessage")).get("messageId")
    return {"reactionMessage": {"text": said.get("value"), "key": {"id": target_id}}}


def _button(said: dict[str, Any]) -> dict[str, Any]:
    return _choice(said.get("buttonId"), text_of(said.get("message")))


def _row(said: dict[str, Any]) -> dict[str, Any]:
    return _choice(said.get("selectedRowId"), first_text(said, "title", "message"))


def _vote(said: dict[str, Any]) -> dict[str, Any]:
    chosen = [text_of(option.get("name")) for option in objects_of(said.get("options"))]
    return _choice(None, ", ".join(filter(None, chosen)))


def _choice(choice_id: Any, title: str | None) -> dict[str, Any]:
    chosen = {"selectedButtonId": choice_id, "selectedDisplayText": title}
    return {"buttonsResponseMessage": chosen} if text_of(choice_id) or title else {}


WORDS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "text": _text,
    "hydratedTemplate": _text,
    "location": _location,
    "contact": _contact,
    "reaction": _reaction,
    "buttonsResponseMessage": _button,
    "listResponseMessage": _row,
    "pollVote": _vote,
} | {name: partial(_file, name) for name in ("image", "audio", "video", "document", "sticker")}
