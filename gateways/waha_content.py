"""The content of a WAHA payload: its common fields first, then WhatsApp's own message in the engine's data."""

from __future__ import annotations

import re
from typing import Any

from buffer.models import Ignored
from gateways.content import Content, choice_content, media_of, quoted_of, unknown_content
from gateways.fields import first_object, first_text, object_of, text_of
from gateways.ignored import ignored
from gateways.raw import BINARY, nearest_text, words_of
from gateways.whatsapp_choices import vote_content
from gateways.whatsapp_commerce import COMMERCE_READERS
from gateways.whatsapp_content import (
    VIEW_ONCE,
    ProtocolChange,
    protocol_change,
    read_content,
    unwrap,
    with_transcript,
)
from gateways.whatsapp_context import (
    STATUS,
    Sides,
    ad_referral,
    contexts_in,
    is_forwarded,
    is_ours,
    quoted_message_of,
    read_contexts,
)

MIME_KINDS = ("image", "audio", "video")
TYPE_KINDS = {
    "image": "image",
    "sticker": "image",
    "audio": "audio",
    "ptt": "audio",
    "video": "video",
    "ptv": "video",
    "document": "document",
}
"""The kind by the engine WEBJS's `type`."""

TYPES_WITHOUT_CONTENT = {
    "chat": "empty",
    "call_log": "call",
    "ciphertext": "waiting",
    "e2e_notification": "notification",
    "gp2": "notification",
    "notification": "notification",
    "notification_template": "notification",
    "broadcast_notification": "notification",
    "pinned_message": "pin",
    "pin_message": "pin",
    "keep_in_chat": "keep",
    "album": "album",
    "reaction_enc": "encrypted",
    "poll_update": "encrypted",
    "protocol": "protocol",
    "revoked": "protocol",
    "event_response": "encrypted",
    "comment_enc": "encrypted",
}
"""Types of the engine WEBJS that are no message, each with the reason why it is ignored."""

WEBJS_KEYS = {
    "buttons_response": "buttonsResponseMessage",
    "template_button_reply": "templateButtonReplyMessage",
    "list_response": "listResponseMessage",
    "order": "orderMessage",
    "product": "productMessage",
    "payment": "requestPaymentMessage",
    "interactive_response": "interactiveResponseMessage",
}
"""WhatsApp's key by the engine WEBJS's `type`, whose fields stand in `_data` itself."""

CHOSEN = ("selectedButtonId", "selectedId", "singleSelectReply")

WORD_NAMES = ("caption", "body", "pollname", "eventname", "description", "title", "comment")
ENGINE_CONTEXT = frozenset(
    {
        "message",
        "Message",
        "contextInfo",
        "ctwaContext",
        "isForwarded",
        "forwardingScore",
        "quotedMsg",
        "quotedStanzaID",
    }
)
"""Fields of the engines' data with something about what stands around a message."""

FULL_NAME = re.compile(r"^FN[^:\r\n]*:([^\r\n]+)", re.MULTILINE | re.IGNORECASE)


def read_payload(payload: dict[str, Any]) -> Content | Ignored:
    """Read a message. Return the reason if it is none."""
    inner = _whatsapp_content(payload)
    known = inner if isinstance(inner, Content) else None
    if payload.get("hasMedia") is True or payload.get("media"):
        return _media(payload, known)
    if place := object_of(payload.get("location")):
        return _location(place)
    if cards := payload.get("vCards"):
        return _contacts(cards if isinstance(cards, list) else [cards])
    if known and (known.kind not in ("text", "unknown") or "order" in known.extra):
        return _with_text(known, text_of(payload.get("body")))
    written, raw_type = payload.get("body"), _webjs_type(payload)
    text = text_of(written) or words_of(written)
    if raw_type in WEBJS_KEYS and (content := _webjs_content(payload, raw_type, _words(text))):
        return content
    return Content("text", text) if text else inner or _unknown(payload)


def read_reaction(payload: dict[str, Any]) -> Content | Ignored:
    """Read a reaction. Return the reason if it was removed."""
    reaction = object_of(payload.get("reaction"))
    emoji, target_id = text_of(reaction.get("text")), text_of(reaction.get("messageId"))
    return Content("reaction", emoji, extra={"target_id": target_id}) if emoji else ignored("taken_back")


def read_vote(vote: dict[str, Any]) -> Content | Ignored:
    """Read a vote in a poll. Return the reason if it was taken back or could not be decrypted."""
    chosen = vote.get("selectedOptions")
    return vote_content(chosen) if isinstance(chosen, list) else ignored("encrypted")


def read_event_answer(payload: dict[str, Any]) -> Content | Ignored:
    """Read the answer to an invitation. Return the reason if it could not be decrypted."""
    answer = text_of(object_of(payload.get("eventResponse")).get("response"))
    return choice_content(None, answer) if answer else ignored("encrypted")


def read_change(payload: dict[str, Any]) -> ProtocolChange | None:
    """Return the edit or revoke of another message in the engine's data. None for a message."""
    data = payload.get("_data")
    message = _engine_message(data) if isinstance(data, dict) else None
    protocol = object_of(unwrap(message).get("protocolMessage")) if message else None
    return protocol_change(protocol) if protocol else None


def has_context(payload: dict[str, Any]) -> bool:
    """Return True if something can stand around a message: a quote, or the data of an engine about the message."""
    if payload.get("replyTo"):
        return True
    data = payload.get("_data")
    return isinstance(data, dict) and not data.keys().isdisjoint(ENGINE_CONTEXT)


def read_context(payload: dict[str, Any], sides: Sides) -> dict[str, Any]:
    """Return the parts around a message, from WAHA's `replyTo` and from the engine's data."""
    reply, data = object_of(payload.get("replyTo")), object_of(payload.get("_data"))
    parts: dict[str, Any] = {}
    if data:
        parts = _engine_context(data, sides)
    if quoted_id := text_of(reply.get("id")):
        parts["quoted_id"] = quoted_id
        if quoted := parts.get("quoted", {}) | _quoted(reply, quoted_id, sides):
            parts["quoted"] = quoted | {"id": quoted_id}
    return parts


def _engine_context(data: dict[str, Any], sides: Sides) -> dict[str, Any]:
    message = unwrap(_engine_message(data))
    parts = read_contexts(contexts_in(data, message, *message.values()), sides) | _webjs_quoted(data, sides)
    # the engine WEBJS has no `contextInfo`: the same fields stand in its data
    if "ctwaContext" in data and (referral := ad_referral(data)):
        parts["referral"] = referral
    if is_forwarded(data):
        parts["forwarded"] = True
    if "quoted" not in parts:
        parts.pop("quoted_id", None)
    return parts


def _webjs_quoted(data: dict[str, Any], sides: Sides) -> dict[str, Any]:
    """Return the quoted message that the engine WEBJS has in its own form."""
    quoted_id, message = text_of(data.get("quotedStanzaID")), object_of(data.get("quotedMsg"))
    author = data.get("quotedParticipant")
    from_me = is_ours(object_of(author).get("_serialized", author), sides)
    quoted = quoted_of(quoted_id, **_webjs_told(message), from_me=from_me) if message else {}
    return {"quoted_id": quoted_id, "quoted": quoted} if quoted else {}


def _webjs_told(message: dict[str, Any]) -> dict[str, Any]:
    """Return the words and the kind of a quoted message of the engine WEBJS, whose body can be a small picture."""
    raw_type = text_of(message.get("type"))
    kind = TYPE_KINDS.get(raw_type or "", "text" if raw_type == "chat" else None)
    return {"text": first_text(message, "caption") or _words(message.get("body")), "kind": kind}


def _words(written: Any) -> str | None:
    """Return a text, but no picture in base64."""
    text = text_of(written)
    return None if text and BINARY.fullmatch(text) else text


def _quoted(reply: dict[str, Any], quoted_id: str, sides: Sides) -> dict[str, Any]:
    """Return the `quoted` part of a reply. `_data` is the quoted message in the engine's own form."""
    inner = unwrap(object_of(reply.get("_data")))
    is_webjs = isinstance(inner.get("type"), str)
    told = _webjs_told(inner) if is_webjs else quoted_message_of(inner, quoted_id, None, sides)
    file = object_of(reply.get("media"))
    mime = text_of(file.get("mimetype"))
    fields: dict[str, Any] = {
        "text": _words(reply.get("body")) or told.get("text"),
        "kind": _kind(mime, None) if mime else told.get("kind"),
        "media_url": text_of(file.get("url")),
    }
    story = True if STATUS in (reply.get("from"), reply.get("to")) or STATUS in quoted_id else None
    from_me = is_ours(reply.get("participant"), sides)
    if from_me is None and quoted_id.startswith(("true_", "false_")):
        from_me = quoted_id.startswith("true_")
    return quoted_of(quoted_id, **fields, from_me=from_me, story=story)


def _engine_message(data: dict[str, Any]) -> dict[str, Any]:
    """Return WhatsApp's own message, which the engines NOWEB and GOWS pass on."""
    return object_of(data.get("message")) or object_of(data.get("Message"))


def _whatsapp_content(payload: dict[str, Any]) -> Content | Ignored | None:
    message = _engine_message(object_of(payload.get("_data")))
    return read_content(unwrap(message), None) if message else None


def _webjs_type(payload: dict[str, Any]) -> str | None:
    return text_of(object_of(payload.get("_data")).get("type"))


def _webjs_content(payload: dict[str, Any], raw_type: str, text: str | None) -> Content | None:
    """Read a tap, an order, a product or a payment in the data of the engine WEBJS."""
    name, data = WEBJS_KEYS[raw_type], object_of(payload.get("_data"))
    if name in COMMERCE_READERS:
        content = read_content({name: data | {"body": text}}, None)
        if isinstance(content, Content):
            content.extra["raw_type"] = raw_type
            return content
        return None
    if raw_type == "interactive_response":
        return _answered(read_content({name: data}, None), text)
    chosen = object_of(data.get("listResponse")) or {part: data[part] for part in CHOSEN if part in data}
    content = read_content({name: chosen | ({"selectedDisplayText": text} if text else {})}, None)
    return _with_title(content, text) if isinstance(content, Content) else None


def _answered(content: Content | Ignored, title: str | None) -> Content | None:
    """Return the answers of a form with WAHA's text, None if they are not in the data."""
    if isinstance(content, Ignored) or "response_json" not in content.extra["interactive"]:
        return None
    content.text = title or content.text
    return content


def _with_title(content: Content, title: str | None) -> Content | None:
    """Give a choice the title that WAHA shows. Return None for a choice without an id, which is a plain text."""
    interactive = content.extra["interactive"]
    interactive["title"] = interactive["title"] or title
    content.text = content.text if content.text != interactive["id"] else interactive["title"] or content.text
    return content if interactive["id"] else None


def _with_text(content: Content, text: str | None) -> Content:
    content.text = content.text or text
    return content


def _unknown(payload: dict[str, Any]) -> Content | Ignored:
    raw_type, data = _webjs_type(payload), object_of(payload.get("_data"))
    if True in (data.get("isViewOnce"), data.get("IsViewOnce"), object_of(data.get("key")).get("isViewOnce")):
        return unknown_content(VIEW_ONCE)
    if raw_type is None or raw_type in TYPES_WITHOUT_CONTENT:
        return ignored(TYPES_WITHOUT_CONTENT.get(raw_type or "", "empty"))
    return unknown_content(raw_type, nearest_text(data, WORD_NAMES), data)


def _media(payload: dict[str, Any], inner: Content | None) -> Content:
    """Read a file. If WAHA did not download it, `media` has no url or is absent, and the engine's data fills in."""
    file, known = first_object(payload.get("media")), (inner.media if inner else None) or {}
    mime = text_of(file.get("mimetype")) or known.get("mime")
    url = text_of(file.get("url")) or text_of(payload.get("mediaUrl"))
    media = media_of(url, None, mime, text_of(payload.get("body")))
    if filename := text_of(file.get("filename")) or known.get("filename"):
        media["filename"] = filename
    raw_type = _webjs_type(payload)
    kind = inner.kind if inner and known else _kind(mime, raw_type)
    sticker = raw_type == "sticker" or (inner is not None and "sticker" in inner.extra)
    if base64 := first_text(file, "data", "base64"):
        media["base64"] = base64
    content = Content(kind, media["caption"], media, {"sticker": True} if sticker else {})
    return with_transcript(with_transcript(content, payload), file)


def _kind(mime: str | None, raw_type: str | None) -> str:
    if raw_type in TYPE_KINDS:
        return TYPE_KINDS[raw_type]
    family = (mime or "").partition("/")[0].lower()
    return family if family in MIME_KINDS else "document" if family else "unknown"


def _location(place: dict[str, Any]) -> Content | Ignored:
    # not the body: the engine WEBJS puts a picture of the map there, in base64
    location = {
        "degreesLatitude": place.get("latitude"),
        "degreesLongitude": place.get("longitude"),
        "name": place.get("name") or place.get("title"),
        "address": place.get("address"),
        "caption": place.get("description"),
    }
    return read_content({"locationMessage": location}, None)


def _contacts(cards: list[Any]) -> Content | Ignored:
    contacts = [{"displayName": _full_name(card), "vcard": card} for card in cards if isinstance(card, str)]
    return read_content({"contactsArrayMessage": {"contacts": contacts}}, None)


def _full_name(card: str) -> str | None:
    found = FULL_NAME.search(card)
    return found.group(1).strip() if found else None
