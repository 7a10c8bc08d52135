"""The content of a uazapi message: its flat fields, and part of WhatsApp's own message in `content`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from buffer.models import Ignored
from gateways.content import Content, choice_content, known, quoted_of, unknown_content
from gateways.fields import first_object, first_text, object_of, text_of
from gateways.ignored import ignored
from gateways.whatsapp_choices import option_names
from gateways.whatsapp_content import (
    MEDIA_KINDS,
    READERS,
    TRANSCRIPTS,
    VIEW_ONCE,
    WITHOUT_CONTENT,
    WRAPPERS,
    ProtocolChange,
    protocol_change,
    read_content,
    unwrap,
)
from gateways.whatsapp_context import Sides, contexts_in, is_forwarded, read_contexts

IRREGULAR_KEYS = {
    "ptt": "audioMessage",
    "vcard": "contactMessage",
    "senderkeydistribution": "senderKeyDistributionMessage",
}
WHATSAPP_KEYS = {
    name.removesuffix("Message").lower(): name for name in (*MEDIA_KINDS, *WITHOUT_CONTENT, *READERS)
} | IRREGULAR_KEYS
"""WhatsApp's key by uazapi's `messageType`, in lower case and without `Message`."""

USUAL_TEXT = "ExtendedTextMessage"
"""The type of most messages. It is read without the steps that the other types need."""

PROTOCOL_TYPES = ("ProtocolMessage", "protocolMessage", "protocol")

BESIDE = frozenset({"base64", *TRANSCRIPTS})
"""Fields beside the content that have WhatsApp's names."""

WHOLE_MESSAGES = frozenset({"conversation", *MEDIA_KINDS, *READERS, *WITHOUT_CONTENT, *WRAPPERS})
"""Keys of a `content` that is WhatsApp's whole message, not a part of it."""


def read_message(message: dict[str, Any], message_id: str | None) -> Content | Ignored:
    """Read a message. Return the reason if it is none (protocol, removed reaction)."""
    if message.get("messageType") == USUAL_TEXT and not message.get("reaction"):
        fields = message.get("content")
        if isinstance(fields, dict) and (words := text_of(fields.get("text"))):
            return Content("text", words)
    text = _text(message)
    if target_id := text_of(message.get("reaction")):
        return Content("reaction", text, extra={"target_id": target_id}) if text else ignored("taken_back")
    content = read_content(_to_whatsapp_message(message, text), message_id)
    if isinstance(content, Ignored):
        return _choice(message) or _without_content(message, text, content)
    if content.kind == "unknown" and content.extra["raw_type"] != VIEW_ONCE:
        content.extra["raw_type"] = text_of(message.get("messageType")) or content.extra["raw_type"]
        return _choice(message) or _plain(message, text, content)
    return _with_text(content, text, message)


def _text(message: dict[str, Any]) -> str | None:
    text = text_of(message.get("text")) or text_of(message.get("content"))
    if text is None and (content := message.get("content")):
        words = content if isinstance(content, list) else []
        text = first_text(first_object(content), "text", "body", "conversation")
        text = text or next((item for item in words if isinstance(item, str) and item), None)
    return text or text_of(message.get("message"))


def context_in(message: dict[str, Any]) -> Sequence[dict[str, Any]]:
    """Return the contexts in a message, also those inside its wrappers, that tell something."""
    content = first_object(message.get("content"))
    if not content:
        return ()
    if WRAPPERS.isdisjoint(content) and "message" not in content:
        return contexts_in(content, *content.values())
    inner = unwrap(object_of(content.get("message")) or content)
    return contexts_in(content, inner, *inner.values())


def read_context(message: dict[str, Any], contexts: Sequence[dict[str, Any]], sides: Sides) -> dict[str, Any]:
    """Return the parts around a message: quote, advertisement, forwarding."""
    found = read_contexts(contexts, sides)
    quoted_id, quoted = _quoted(message, found)
    forwarded = found.get("forwarded") or is_forwarded(message) or None
    return known(quoted_id=quoted_id, quoted=quoted, referral=found.get("referral"), forwarded=forwarded)


def _quoted(message: dict[str, Any], found: dict[str, Any]) -> tuple[str | None, dict[str, Any] | None]:
    """Return the id and the known parts of the quoted message. uazapi's own `quoted` is the id."""
    own, quoted = message.get("quoted"), found.get("quoted")
    if isinstance(own, dict) and own:
        quoted_id = first_text(own, "messageid", "id") or found.get("quoted_id")
        return quoted_id, quoted or quoted_of(quoted_id, text=first_text(own, "text", "content", "caption")) or None
    return text_of(own) or (found.get("quoted_id") if quoted else None), quoted


def _to_whatsapp_message(message: dict[str, Any], text: str | None) -> dict[str, Any]:
    """Return WhatsApp's `message` object, with `content` under the key for the `messageType` (`ImageMessage`)."""
    message_type = text_of(message.get("messageType")) or ""
    is_text = message_type.lower() == "conversation"
    if is_text and text:
        return {"conversation": text}
    # not content.URL: the file there is encrypted
    value, beside = message.get("content"), {"mediaUrl": message.get("fileURL")}
    content = first_object(value)
    if not message.keys().isdisjoint(BESIDE):
        beside |= {name: message[name] for name in BESIDE if name in message}
    if not WHOLE_MESSAGES.isdisjoint(content):
        return unwrap(beside | content)
    name = "" if is_text else WHATSAPP_KEYS.get(message_type.lower().removesuffix("message"), message_type)
    return beside | {name: value if isinstance(value, list) else content} if name else {}


def _choice(message: dict[str, Any]) -> Content | None:
    """Read a tapped button, a chosen row of a list, or a vote in a poll."""
    choice_id, vote = text_of(message.get("buttonOrListid")), option_names(message.get("vote"))
    if choice_id is None and vote is None:
        return None
    return choice_content(choice_id, vote or text_of(message.get("text")))


def _without_content(message: dict[str, Any], text: str | None, reason: Ignored) -> Content | Ignored:
    """Read the flat fields of a message whose content is empty."""
    if reason.reason != "empty":
        return reason
    if text:
        return Content("text", text)
    is_view_once = True in (message.get("viewOnce"), message.get("isViewOnce"))
    return unknown_content(VIEW_ONCE) if is_view_once else reason


def _plain(message: dict[str, Any], text: str | None, content: Content) -> Content:
    if text and text_of(message.get("type")) == "text" and "order" not in content.extra:
        return Content("text", text)
    content.text = text or content.text
    return content


def _with_text(content: Content, text: str | None, message: dict[str, Any]) -> Content:
    """Fill in uazapi's `text`, which repeats every caption, where WhatsApp's message has no text."""
    if content.media and content.kind != "audio":
        content.media["caption"] = content.media["caption"] or text
    if content.kind == "interactive" and content.extra["interactive"]["id"] is None:
        content.extra["interactive"]["id"] = text_of(message.get("buttonOrListid"))
    content.text = content.text or text
    return content


def is_protocol(message: dict[str, Any]) -> bool:
    """Return True for a message of WhatsApp's protocol, which may change another one."""
    return message.get("messageType") in PROTOCOL_TYPES or "protocolMessage" in first_object(message.get("content"))


def read_protocol(message: dict[str, Any]) -> ProtocolChange | None:
    """Return the change of another message that a message of the protocol tells."""
    content = first_object(message.get("content"))
    return protocol_change(object_of(content.get("protocolMessage")) or content)
