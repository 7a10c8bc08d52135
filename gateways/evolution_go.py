"""Evolution Go, built on whatsmeow: converts its events to the form of Evolution v2, which is that of Baileys."""

from __future__ import annotations

from typing import Any

from gateways.fields import first_text, object_of, text_of

BESIDE = ("base64", "mediaUrl", "speechToText", "contextInfo")
"""Fields beside the message that have the same name in both forms."""


def to_baileys_message(data: dict[str, Any]) -> dict[str, Any]:
    """Convert the `data` of an Evolution Go `Message` to the `data` of a v2 `messages.upsert`."""
    info = object_of(data.get("Info"))
    message = {
        "key": _key(info),
        "pushName": info.get("PushName"),
        "message": data.get("Message"),
        "messageTimestamp": info.get("Timestamp"),
        "isViewOnce": data.get("IsViewOnce") is True or data.get("UnavailableType") == "view_once",
    }
    beside = {name: data[name] for name in BESIDE if name in data}
    if quoted := object_of(data.get("quoted")):
        beside["contextInfo"] = quoted
    return message | beside


def _key(info: dict[str, Any]) -> dict[str, Any]:
    # in our own messages, Sender and SenderAlt are ours and the recipient is the person
    other = "RecipientAlt" if info.get("IsFromMe") is True else "SenderAlt"
    return {
        "remoteJid": info.get("Chat"),
        "remoteJidAlt": info.get(other),
        "fromMe": info.get("IsFromMe"),
        "id": info.get("ID"),
        "participant": info.get("Sender"),
        "participantAlt": info.get("SenderAlt"),
    }


def to_baileys_presence(data: dict[str, Any]) -> dict[str, Any]:
    """Convert the `data` of a `ChatPresence` (the person types or has stopped) to that of a v2 `presence.update`.

    The same for that of a `Presence` (the person has WhatsApp open or not). Our own presence gives none.
    """
    if person := text_of(data.get("From")):
        return _presence_of(person, person, "unavailable" if data.get("Unavailable") is True else "available")
    if data.get("IsFromMe") is True:
        return {}
    state = data.get("State")
    if state == "composing" and data.get("Media") == "audio":
        state = "recording"
    return _presence_of(data.get("Chat"), first_text(data, "SenderAlt", "Sender"), state)


def _presence_of(chat: Any, person: str | None, state: Any) -> dict[str, Any]:
    return {"id": chat, "presences": {person: {"lastKnownPresence": state}} if person else {}}
