"""What a uazapi message says: its flat fields, and the WhatsApp message in `content`."""

from __future__ import annotations

from typing import Any

from gateways.base import object_of, text_of
from gateways.content import Content
from gateways.whatsapp_content import MEDIA_KINDS, READERS, first_text, read_content

OTHER_WORDS = {"ptt": "audioMessage", "vcard": "contactMessage"}
WORDS = {name.removesuffix("Message").lower(): name for name in (*MEDIA_KINDS, *READERS)} | OTHER_WORDS


def read_message(said: dict[str, Any], message_id: str | None) -> Content | None:
    """Read a message; None when it says nothing (protocol, a reaction taken back)."""
    text = first_text(said, "text", "content") or first_text(object_of(said.get("content")), "text", "body")
    if target_id := text_of(said.get("reaction")):
        return Content("reaction", text, extra={"target_id": target_id}) if text else None
    content = read_content(_in_whatsapp_words(said, text), message_id)
    if content is None or content.kind == "unknown":
        return _choice(said) or _plain(said, text, content)
    return _with_text(content, text)


def _in_whatsapp_words(said: dict[str, Any], text: str | None) -> dict[str, Any]:
    """The `message` object of WhatsApp: `content` under the key that `messageType` (`ImageMessage`) means."""
    written = text_of(said.get("messageType")) or ""
    if written.lower() == "conversation":
        return {"conversation": text}
    # content.URL is an encrypted blob on WhatsApp's servers: of no use to anybody else
    name = WORDS.get(written.lower().removesuffix("message"), written)
    return {"mediaUrl": said.get("fileURL"), name: object_of(said.get("content"))} if name else {}


def _choice(said: dict[str, Any]) -> Content | None:
    """A tapped button, a row of a list, or a vote in a poll."""
    choice_id, title = text_of(said.get("buttonOrListid")), first_text(said, "vote", "text")
    if choice_id is None and text_of(said.get("vote")) is None:
        return None
    return Content("interactive", title or choice_id, extra={"interactive": {"id": choice_id, "title": title}})


def _plain(said: dict[str, Any], text: str | None, content: Content | None) -> Content | None:
    if content is None or text_of(said.get("type")) == "text":
        return Content("text", text) if text else None
    return Content("unknown", text, extra=content.extra)


def _with_text(content: Content, text: str | None) -> Content:
    """uazapi repeats every caption in `text`; where WhatsApp has none, it is what there is to read."""
    if content.media and content.kind != "audio":
        content.media["caption"] = content.media["caption"] or text
    content.text = content.text or text
    return content
