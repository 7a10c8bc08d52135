"""Evolution Go, the sibling built on whatsmeow: its `Message` event, told in the words of Evolution v2."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gateways.base import object_of


def to_baileys_message(data: dict[str, Any]) -> dict[str, Any]:
    """The `data` of a v2 `messages.upsert` from the `data` of an Evolution Go `Message`."""
    info = object_of(data.get("Info"))
    return {
        "key": _key(info),
        "pushName": info.get("PushName"),
        "message": data.get("Message"),
        "messageTimestamp": _seconds(info.get("Timestamp")),
    }


def _key(info: dict[str, Any]) -> dict[str, Any]:
    # of our own messages, Sender and SenderAlt are ourselves: the other side is the recipient
    other = "RecipientAlt" if info.get("IsFromMe") is True else "SenderAlt"
    return {
        "remoteJid": info.get("Chat"),
        "remoteJidAlt": info.get(other),
        "fromMe": info.get("IsFromMe"),
        "id": info.get("ID"),
        "participant": info.get("Sender"),
        "participantAlt": info.get("SenderAlt"),
    }


def _seconds(written: Any) -> Any:
    if not isinstance(written, str):
        return written
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo else None
