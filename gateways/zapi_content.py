"""The content of a Z-API body: converts it to WhatsApp's own `message` object, which `whatsapp_content` reads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from gateways.content import Content, known, quoted_of
from gateways.fields import first_text, object_of, objects_in, objects_of, text_of
from gateways.raw import nearest_text, raw_of, words_of
from gateways.whatsapp_choices import option_names
from gateways.whatsapp_commerce import COMMERCE_READERS
from gateways.whatsapp_content import ADDED_BY_GATEWAYS, MEDIA_KINDS, READERS, WRAPPERS, unwrap
from gateways.whatsapp_context import ad_referral

WITHOUT_CONTENT = {"pinMessage": "pin", "unpinMessage": "pin", "keepMessage": "keep", "callMessage": "call"}
"""Keys of what is no message, each with the reason why it is ignored."""

NOT_CONTENT = frozenset(
    {
        "externalAdReply",
        "statusImage",
        "statusVideo",
        "statusText",
        "referencedMessage",
        "contextInfo",
        "messageContextInfo",
        "notificationParameters",
        *WITHOUT_CONTENT,
    }
)
CONTEXT = frozenset(
    {
        "referenceMessageId",
        "referencedMessage",
        "statusImage",
        "statusVideo",
        "statusText",
        "externalAdReply",
        "forwarded",
        "pollVote",
        "eventResponse",
    }
)
"""Fields about what stands around a message."""

FILES = ("image", "audio", "video", "ptv", "document", "sticker")
TEMPLATE, BUTTONS = "hydratedTemplate", "hydratedButtons"
WHATSAPP_NAMES = frozenset({"conversation", *MEDIA_KINDS, *READERS, *WRAPPERS})
"""Names in an object that is WhatsApp's own message."""

STATUS_KINDS = {"statusImage": "image", "statusVideo": "video", "statusText": "text"}


def to_whatsapp_messages(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return WhatsApp's `message` objects for a body, one for each item of a list.

    Content of an unknown kind keeps its own key.
    """
    if known_messages := _known_messages(body):
        return known_messages
    if cards := objects_of(body.get("contacts")):
        return [{"contactsArrayMessage": {"contacts": [_card(card) for card in cards]}}]
    if moved := _moved(body):
        return moved
    unknown = {name: value for name, value in body.items() if isinstance(value, dict | list) and value}
    return [{name: value} for name, value in unknown.items() if name not in NOT_CONTENT and objects_in(value)][:1]


def _known_messages(body: dict[str, Any]) -> list[dict[str, Any]]:
    for name, convert in CONVERTERS.items():
        if content := body.get(name):
            items = content if isinstance(content, list) else [content]
            if converted := [convert(item) for item in items if isinstance(item, dict)]:
                return converted
            if name in WORDS and (words := next((item for item in items if isinstance(item, str) and item), None)):
                return [{"conversation": words}]
    return []


def _moved(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the messages of a body whose content is in `message`, or whose fields of a file stand in the body."""
    inner = body.get("message")
    if isinstance(inner, str) and inner:
        return [{"conversation": inner}]
    if isinstance(inner, dict):
        return _known_messages(inner) or ([] if WHATSAPP_NAMES.isdisjoint(inner) else [unwrap(inner)])
    name = next((name for name in FILES if text_of(body.get(f"{name}Url"))), None)
    return [_file(name, body)] if name else []


def template_parts(body: dict[str, Any]) -> dict[str, Any]:
    """Return what one may tap below a template."""
    return known(raw=raw_of({name: each for name, each in object_of(body[TEMPLATE]).items() if name == BUTTONS}))


def read_beside(body: dict[str, Any], words: str) -> dict[str, Any]:
    """Return the parts of a text beside its words: an order, and the address of a link that the words do not show."""
    url, name = text_of(body["text"].get("url")), next((name for name in ("order", "product") if body.get(name)), None)
    content = COMMERCE_READERS[name](object_of(body[name])) if name else None
    parts = {"order": content.extra["order"]} if isinstance(content, Content) and "order" in content.extra else {}
    is_hidden = url and url not in words and "externalAdReply" not in body
    return parts | ({"links": [url]} if is_hidden else {})


def reason_without_content(body: dict[str, Any]) -> str | None:
    """Return why a body without a message is ignored, None if the reason is not known."""
    for name, reason in WITHOUT_CONTENT.items():
        if body.get(name):
            return reason
    notice = (text_of(body.get("notification")) or "").upper()
    if "CALL" in notice or text_of(body.get("callId")):
        return "call"
    return "notification" if notice else None


def quoted_id(body: dict[str, Any]) -> str | None:
    """Return the id of the message that a body answers, edits or revokes."""
    if written := text_of(body.get("referenceMessageId")):
        return written
    answer = object_of(body.get("eventResponse")) or body
    poll_id = text_of(object_of(body.get("pollVote")).get("pollMessageId"))
    return poll_id or text_of(object_of(answer.get("referencedMessage")).get("messageId"))


def read_context(body: dict[str, Any]) -> dict[str, Any]:
    """Return the parts around a message, some without a value. Z-API tells the content of stories alone."""
    answered = quoted_id(body)
    return {
        "quoted_id": answered,
        "quoted": _story(body, answered) if body.get("isStatusReply") is True else None,
        "referral": (ad_referral(body) or None) if "externalAdReply" in body else None,
        "forwarded": True if body.get("forwarded") is True else None,
    }


def _story(body: dict[str, Any], answered: str | None) -> dict[str, Any]:
    for name, kind in STATUS_KINDS.items():
        if story := object_of(body.get(name)):
            text = first_text(story, "caption", "message", "text")
            media_url = first_text(story, "imageUrl", "videoUrl")
            return quoted_of(answered, text=text, kind=kind, media_url=media_url, story=True)
    return quoted_of(answered, story=True)


def _text(content: dict[str, Any]) -> dict[str, Any]:
    return {"conversation": text_of(content.get("message")) or words_of(content)}


def _template(content: dict[str, Any]) -> dict[str, Any]:
    """Convert a template. The file above its words is the message's, and the words are its caption."""
    words, header = _text(content), object_of(content.get("header"))
    name = next((name for name in FILES if object_of(header.get(name))), None)
    return _file(name, {"caption": words["conversation"]} | header[name]) if name else words


def _file(name: str, content: dict[str, Any]) -> dict[str, Any]:
    file = {
        "caption": content.get("caption"),
        "mimetype": first_text(content, "mimeType", "mimetype"),
        "fileName": first_text(content, "fileName", "title"),
    }
    url = first_text(content, f"{name}Url", "url", "mediaUrl", "link")
    beside = {added: content[added] for added in ADDED_BY_GATEWAYS if added in content and added != "mediaUrl"}
    return {"mediaUrl": url, f"{name}Message": file} | beside


def _location(content: dict[str, Any]) -> dict[str, Any]:
    coordinates = {"degreesLatitude": content.get("latitude"), "degreesLongitude": content.get("longitude")}
    return {"locationMessage": coordinates | {"name": content.get("name"), "address": content.get("address")}}


def _contact(content: dict[str, Any]) -> dict[str, Any]:
    return {"contactMessage": _card(content)}


def _card(content: dict[str, Any]) -> dict[str, Any]:
    phones = content.get("phones")
    lines = [f"TEL:{phone}" for phone in map(text_of, phones) if phone] if isinstance(phones, list) else []
    card = "\n".join(lines) or content.get("vCard")
    return {"displayName": first_text(content, "displayName", "name"), "vcard": card}


def _reaction(content: dict[str, Any]) -> dict[str, Any]:
    target_id = object_of(content.get("referencedMessage")).get("messageId")
    return {"reactionMessage": {"text": content.get("value"), "key": {"id": target_id}}}


def _button(content: dict[str, Any]) -> dict[str, Any]:
    button_id = first_text(content, "buttonId", "selectedButtonId", "selectedId", "id")
    return _choice(
        button_id, first_text(content, "message", "title", "text") or nearest_text(content, ("displaytext",))
    )


def _row(content: dict[str, Any]) -> dict[str, Any]:
    row_id = first_text(content, "selectedRowId") or nearest_text(content, ("selectedrowid", "rowid"))
    row = {"title": first_text(content, "title", "message"), "description": text_of(content.get("description"))}
    chosen = {name: value for name, value in row.items() if value} | {"singleSelectReply": {"selectedRowId": row_id}}
    return {"listResponseMessage": chosen} if row_id or row["title"] else {}


def _vote(content: dict[str, Any]) -> dict[str, Any]:
    return _choice(None, option_names(content.get("options")))


def _event_answer(content: dict[str, Any]) -> dict[str, Any]:
    return _choice(None, text_of(content.get("response")))


def _pix_key(content: dict[str, Any]) -> dict[str, Any]:
    """Show the key of a payment, which is no secret and yet bears the name of one."""
    told = [text for name in ("key", "merchantName") if (text := text_of(content.get(name)))]
    return {"pixKeyMessage": content | {"text": ", ".join(told) or None}}


def _choice(choice_id: Any, title: str | None) -> dict[str, Any]:
    chosen = {"selectedButtonId": choice_id, "selectedDisplayText": title}
    return {"buttonsResponseMessage": chosen} if text_of(choice_id) or title else {}


WORDS = ("text", TEMPLATE)
"""Content that may be a string."""

CONVERTERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "text": _text,
    TEMPLATE: _template,
    "location": _location,
    "liveLocation": _location,
    "contact": _contact,
    "reaction": _reaction,
    "buttonsResponseMessage": _button,
    "buttonReply": _button,
    "buttonResponse": _button,
    "templateButtonReplyMessage": _button,
    "listResponseMessage": _row,
    "listReply": _row,
    "listResponse": _row,
    "pollVote": _vote,
    "eventResponse": _event_answer,
    "pixKeyMessage": _pix_key,
} | {name: partial(_file, name) for name in FILES}
