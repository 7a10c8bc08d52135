"""The content of a uazapi message: its flat fields, and part of WhatsApp's own message in `content`."""

from __future__ import annotations

from typing import Any

from gateways.content import Content, choice_content
from gateways.fields import first_text, object_of, text_of
from gateways.whatsapp_content import MEDIA_KINDS, READERS, read_content

IRREGULAR_KEYS = {"ptt": "audioMessage", "vcard": "contactMessage"}
WHATSAPP_KEYS = {name.removesuffix("Message").lower(): name for name in (*MEDIA_KINDS, *READERS)} | IRREGULAR_KEYS
"""WhatsApp's key by uazapi's `messageType`, in lower case and without `Message`."""


def read_message(message: dict[str, Any], message_id: str | None) -> Content | None:
    """Read a message. Return None if it has no content (protocol, removed reaction)."""
    text = first_text(message, "text", "content") or first_text(object_of(message.get("content")), "text", "body")
    if target_id := text_of(message.get("reaction")):
        return Content("reaction", text, extra={"target_id": target_id}) if text else None
    content = read_content(_to_whatsapp_message(message, text), message_id)
    if content is None or content.kind == "unknown":
        return _choice(message) or _plain(message, text, content)
    return _with_text(content, text)


def _to_whatsapp_message(message: dict[str, Any], text: str | None) -> dict[str, Any]:
    """Return WhatsApp's `message` object, with `content` under the key for the `messageType` (`ImageMessage`)."""
    message_type = text_of(message.get("messageType")) or ""
    if message_type.lower() == "conversation":
        return {"conversation": text}
    # not content.URL: the file there is encrypted
    name = WHATSAPP_KEYS.get(message_type.lower().removesuffix("message"), message_type)
    return {"mediaUrl": message.get("fileURL"), name: object_of(message.get("content"))} if name else {}


def _choice(message: dict[str, Any]) -> Content | None:
    """Read a tapped button, a chosen row of a list, or a vote in a poll."""
    choice_id, title = text_of(message.get("buttonOrListid")), first_text(message, "vote", "text")
    if choice_id is None and text_of(message.get("vote")) is None:
        return None
    return choice_content(choice_id, title)


def _plain(message: dict[str, Any], text: str | None, content: Content | None) -> Content | None:
    if content is None or text_of(message.get("type")) == "text":
        return Content("text", text) if text else None
    return Content("unknown", text, extra=content.extra)


def _with_text(content: Content, text: str | None) -> Content:
    """Fill in uazapi's `text`, which repeats every caption, where WhatsApp's message has no text."""
    if content.media and content.kind != "audio":
        content.media["caption"] = content.media["caption"] or text
    content.text = content.text or text
    return content
