"""The content of a Chatwoot message, what stands around it, and the answers to Chatwoot's own forms."""

from __future__ import annotations

import hashlib
from typing import Any

from gateways.answers import ad_opener, ad_referral, form_content, json_text
from gateways.content import (
    Content,
    amount_of,
    choice_content,
    contacts_content,
    known,
    location_content,
    media_of,
    order_of,
    quoted_of,
    unknown_content,
)
from gateways.fields import first_text, number_of, object_of, objects_of, text_of
from gateways.raw import words_of
from gateways.whatsapp_commerce import items_in

MEDIA_KINDS = {"image": "image", "audio": "audio", "video": "video", "file": "document"}
CONTEXT = frozenset(
    {
        "deleted",
        "external_created_at",
        "forwarded",
        "in_reply_to",
        "in_reply_to_external_id",
        "image_type",
        "referral",
        "story_id",
        "story_sender",
        "story_url",
    }
)
"""Attributes of a message that are not its content."""


def read_contents(body: dict[str, Any]) -> list[Content]:
    """Read the parts of a message: one per attachment, else its form or text."""
    text, attachments = text_of(body.get("content")), _listed(body.get("attachments"))
    if attachments:
        return [_attachment(item, None if index else text) for index, item in enumerate(attachments)]
    attributes = object_of(body.get("content_attributes"))
    if flow := object_of(attributes.get("whatsapp_flow_response")):
        return [form_content(text_of(flow.get("name")), text_of(flow.get("body")) or text, flow.get("response_json"))]
    return [Content("text", text) if text else _unread(body, attributes)]


def _listed(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list. An object in its place counts as a list of one."""
    return [value] if isinstance(value, dict) and value else objects_of(value)


def read_context(body: dict[str, Any]) -> dict[str, Any]:
    """Return the optional parts around a message: quote, story, advertisement, forwarding."""
    attributes = body.get("content_attributes")
    if not attributes or not isinstance(attributes, dict):
        return {}
    story_url, story_id = text_of(attributes.get("story_url")), text_of(attributes.get("story_id"))
    story = quoted_of(story_id, media_url=story_url, story=True) if story_url or story_id else None
    return known(
        quoted_id=first_text(attributes, "in_reply_to", "in_reply_to_external_id"),
        quoted=story,
        order=_order(object_of(attributes.get("order"))) or None,
        referral=_referral(attributes) or None,
        forwarded=any(attributes.get(name) is True for name in ("forwarded", "is_forwarded")) or None,
    )


def _order(order: dict[str, Any]) -> dict[str, Any]:
    words, total = first_text(order, "text", "message"), amount_of(order.get("total"))
    return order_of(first_text(order, "id", "order_id"), words, items_in(order), total, order.get("currency"))


def _referral(attributes: dict[str, Any]) -> dict[str, Any]:
    return ad_referral(attributes.get("referral") or attributes.get("externalAdReply"))


def _unread(body: dict[str, Any], attributes: dict[str, Any]) -> Content:
    """Read a message without words: by the advertisement that the person came from, else by its attributes."""
    if advert := ad_opener(_referral(attributes)):
        return advert
    content = body.get("content")
    rest = {name: value for name, value in attributes.items() if name not in CONTEXT}
    rest |= {"content": content} if isinstance(content, dict | list) else {}
    words = _email_words(rest) or words_of(rest.get("content")) or words_of(rest)
    return unknown_content(text_of(body.get("content_type")), words, rest)


def _email_words(attributes: dict[str, Any]) -> str | None:
    email = object_of(attributes.get("email"))
    return first_text(object_of(email.get("text_content")), "reply", "full") or text_of(email.get("subject"))


def _attachment(item: dict[str, Any], caption: str | None) -> Content:
    name = text_of(item.get("file_type")) or ""
    if name == "location":
        content = _location(item)
    elif name == "contact":
        content = contacts_content([_card(item, caption)])
    else:
        content = _file(name, item, caption)
    content.text = caption or content.text
    return content


def _file(name: str, item: dict[str, Any], caption: str | None) -> Content:
    """Read a file or a shared address. A transcript becomes its text if it has no other."""
    url, kind = text_of(item.get("data_url")), MEDIA_KINDS.get(name, "unknown")
    media = media_of(url, text_of(item.get("id")), None, caption) if url else None
    if kind == "unknown":
        content = unknown_content(name or None, first_text(item, "fallback_title", "title"), item)
        content.media = media
        return content
    content = Content(kind, media=media)
    spoken = text_of(item.get("transcribed_text")) or text_of(object_of(item.get("meta")).get("transcribed_text"))
    if spoken:
        content.text = content.extra["transcript"] = spoken
    return content


def _location(item: dict[str, Any]) -> Content:
    latitude, longitude = number_of(item.get("coordinates_lat")), number_of(item.get("coordinates_long"))
    return location_content(latitude, longitude, text_of(item.get("fallback_title")), None)


def _card(item: dict[str, Any], caption: str | None) -> dict[str, Any]:
    """Return one phone of a contact as a card. If `meta` has no name, the message's text is the name."""
    meta, phone = object_of(item.get("meta")), text_of(item.get("fallback_title"))
    names = [name for part in ("firstName", "lastName") if (name := text_of(meta.get(part)))]
    return {"name": " ".join(names) or caption, "phones": [phone] if phone else []}


def read_answers(body: dict[str, Any]) -> Content | None:
    """Read the person's answers to a message with a form: a choice, fields, an e-mail address, a rating."""
    attributes = object_of(body.get("content_attributes"))
    if email := text_of(attributes.get("submitted_email")):
        return choice_content(email, email)
    values = attributes.get("submitted_values")
    if isinstance(values, dict):
        return _rating(object_of(values.get("csat_survey_response")) or values) if values else None
    answers = objects_of(values)
    return (_chosen(answers) or _filled_in(answers, attributes)) if answers else None


def answer_mark(body: dict[str, Any]) -> str:
    """Return a mark of the answers, so that a changed answer is a message of its own and the same one is none."""
    attributes = object_of(body.get("content_attributes"))
    answers = json_text([attributes.get("submitted_values"), attributes.get("submitted_email")]) or ""
    return hashlib.blake2b(answers.encode(), digest_size=6).hexdigest()


def _rating(values: dict[str, Any]) -> Content:
    content = form_content(None, None, values)
    content.text = first_text(values, "feedback_message", "rating") or words_of(values)
    return content


def _chosen(answers: list[dict[str, Any]]) -> Content | None:
    """Read chosen options. The fields of a form have a name instead of a title."""
    titles = [title for answer in answers if (title := text_of(answer.get("title")))]
    values = [value for answer in answers if (value := text_of(answer.get("value")))]
    return choice_content(", ".join(values) or None, ", ".join(titles)) if titles else None


def _filled_in(answers: list[dict[str, Any]], attributes: dict[str, Any]) -> Content:
    """Read the fields of a form. Its text has one line for each, with the label that the person saw."""
    labels = {text_of(item.get("name")): text_of(item.get("label")) for item in objects_of(attributes.get("items"))}
    lines = []
    for answer in answers:
        name, value = text_of(answer.get("name")), text_of(answer.get("value"))
        label = labels.get(name) or name
        lines.append(": ".join(part for part in (label, value) if part))
    content = form_content(None, None, answers)
    content.text = "\n".join(line for line in lines if line) or None
    return content
