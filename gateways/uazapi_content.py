"""What a uazapi message says: its flat fields, and the WhatsApp message in `content`."""

from __future__ import annotations

from typing import Any

from gateways.base import object_of, text_of
from gateways.evolution_content import MEDIA_KINDS, READERS, Content, first_text, read_content, unwrap

OTHER_WORDS = {"ptt": "audioMessage", "vcard": "contactMessage"}
WORDS = {name.removesuffix("Message").lower(): name for name in (*MEDIA_KINDS, *READERS)} | OTHER_WORDS


def read_message(said: dict[str, Any], message_id: str | None) -> Content | None:
    """Read a message; None when it says nothing (protocol, a reaction taken back)."""
    if target_id := text_of(said.get("reaction")):
        return _reaction(said, target_id)
    content = read_content(_in_whatsapp_words(said), message_id)
    if content is None or content.kind == "unknown":
        return _choice(said) or _plain(said, content)
    return _with_text(content, text_of(said.get("text")))


def _in_whatsapp_words(said: dict[str, Any]) -> dict[str, Any]:
    """The `message` object of WhatsApp: `content` under the key that `messageType` (`ImageMessage`) means."""
    written, content = text_of(said.get("messageType")) or "", object_of(said.get("content"))
    name = WORDS.get(written.lower().removesuffix("message"), written)
    # content.URL is an encrypted blob on WhatsApp's servers: of no use to anybody else
    return unwrap({"mediaUrl": said.get("fileURL"), name: content} if name else {})


def _reaction(said: dict[str, Any], target_id: str) -> Content | None:
    emoji = text_of(said.get("text"))
    return Content("reaction", emoji, extra={"target_id": target_id}) if emoji else None


def _choice(said: dict[str, Any]) -> Content | None:
    """A tapped button, a row of a list, or a vote in a poll."""
    choice_id, title = text_of(said.get("buttonOrListid")), first_text(said, "vote", "text")
    if choice_id is None and text_of(said.get("vote")) is None:
        return None
    return Content("interactive", title or choice_id, extra={"interactive": {"id": choice_id, "title": title}})


def _plain(said: dict[str, Any], content: Content | None) -> Content | None:
    text = first_text(said, "text", "content") or first_text(object_of(said.get("content")), "text", "body")
    if content is None or text_of(said.get("type")) == "text":
        return Content("text", text) if text else None
    return Content("unknown", text, extra=content.extra)


def _with_text(content: Content, text: str | None) -> Content:
    """uazapi repeats every caption in `text`; where WhatsApp has none, it is what there is to read."""
    if content.media and content.media["caption"] is None:
        content.media["caption"] = text
    content.text = content.text or text
    return content
