"""The content of a Twilio form, and what stands around it: quotes, forwarding, advertisements."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import count, takewhile
from typing import Any

from buffer.models import Ignored
from gateways.answers import ad_opener, form_content, parsed
from gateways.content import (
    Content,
    choice_content,
    known,
    location_content,
    media_of,
    referral_of,
    unknown_content,
)
from gateways.fields import number_of, object_of
from gateways.ignored import ignored
from gateways.meta_content import read_interactive
from gateways.whatsapp_commerce import order_inside

MEDIA_KINDS = ("image", "audio", "video", "document")
MEDIA_ID = re.compile(r"/Media/([^/?#]+)")
REFERRAL = {
    "ReferralSourceType": "source_type",
    "ReferralSourceId": "source_id",
    "ReferralSourceUrl": "source_url",
    "ReferralHeadline": "headline",
    "ReferralBody": "body",
    "ReferralMediaUrl": "media_url",
    "ReferralCtwaClid": "ctwa_clid",
}
"""The fields of the advertisement that the person came from, and their names in `referral`."""

FORWARDED = ("Forwarded", "FrequentlyForwarded")
CONTEXT = dict.fromkeys(("OriginalRepliedMessageSid", *FORWARDED, *REFERRAL)).keys()
"""The fields of what stands around a message."""

PLUMBING = re.compile(r"From|To|Num|Sms|Account|Messag|(?:WaId|ApiVersion|ProfileName|ExternalUserId)$")
"""The beginnings of the names of fields that address a message, and tell nothing of what the person sent."""

Form = dict[str, str]


def read_contents(form: Form) -> Sequence[Content] | Ignored:
    """Read the parts of a message: one per attachment, else its text or choice. Return the reason if it is none."""
    urls = list(takewhile(bool, (form.get(f"MediaUrl{index}", "") for index in count())))
    if urls:
        return [_media(form, index, url) for index, url in enumerate(urls)]
    content = _text_or_choice(form)
    return content if isinstance(content, Ignored) else [content]


def read_context(form: Form) -> dict[str, Any]:
    """Return the optional parts around a message."""
    if CONTEXT.isdisjoint(form.keys()):
        return {}
    return known(
        quoted_id=form.get("OriginalRepliedMessageSid") or None,
        forwarded=any(form.get(name) == "true" for name in FORWARDED) or None,
        referral=_referral(form) or None,
    )


def _referral(form: Form) -> dict[str, Any]:
    return referral_of(**{told: form.get(name) for name, told in REFERRAL.items()})


def _media(form: Form, index: int, url: str) -> Content:
    caption = (form.get("Body") or None) if index == 0 else None
    mime, media_id = form.get(f"MediaContentType{index}") or None, MEDIA_ID.search(url)
    media = media_of(url, media_id[1] if media_id else None, mime, caption)
    is_sticker = form.get("MessageType") == "sticker"
    return Content(_media_kind(form, mime), caption, media, {"sticker": True} if is_sticker else {})


def _media_kind(form: Form, mime: str | None) -> str:
    """Return the kind of a file. The message's type decides before the file's: a picture can be sent as a document."""
    name, family = form.get("MessageType", ""), (mime or "").partition("/")[0]
    if name == "sticker":
        return "image"
    if name in MEDIA_KINDS or mime is None:
        return name if name in MEDIA_KINDS else "unknown"
    return family if family in MEDIA_KINDS else "document"


def _text_or_choice(form: Form) -> Content | Ignored:
    text, title = form.get("Body") or None, form.get("ButtonText") or form.get("ListTitle")
    choice_id = form.get("ButtonPayload") or form.get("ListId")
    if form.get("Latitude") and form.get("Longitude"):
        return _location(form)
    if written := form.get("InteractiveData") or form.get("FlowData"):
        return _form(written, choice_id or None, title or text)
    if title or choice_id:
        return choice_content(choice_id or None, title or text, form.get("ListDescription") or None)
    if form.get("MessageType") == "reaction":
        return _reaction(form, text)
    return Content("text", text) if text else _unread(form)


def _form(written: str, choice_id: str | None, title: str | None) -> Content:
    """Read the answers of a form: Meta's own reply in JSON text, or the answers alone."""
    reply = object_of(parsed(written))
    reply = object_of(reply.get("interactive")) or reply
    content = read_interactive(reply)
    if content is None and "response_json" in reply:
        content = read_interactive({"nfm_reply": reply})
    if content is None:
        content = form_content(choice_id, title, written)
    content.text = title or content.text
    return content


def _reaction(form: Form, emoji: str | None) -> Content | Ignored:
    if emoji is None:
        return ignored("encrypted")
    return Content("reaction", emoji, extra=known(target_id=form.get("OriginalRepliedMessageSid")))


def _unread(form: Form) -> Content:
    """Read a message without words by the advertisement that the person came from, else as the rest of the form."""
    if advert := ad_opener(_referral(form)):
        return advert
    rest = {name: parsed(value) or value for name, value in form.items() if value and not PLUMBING.match(name)}
    content = unknown_content(form.get("MessageType"), None, rest)
    if order := next(filter(None, map(order_inside, rest.values())), None):
        content.text, content.extra["order"] = order.get("text"), order
    return content


def _location(form: Form) -> Content:
    latitude, longitude = number_of(form["Latitude"]), number_of(form["Longitude"])
    content = location_content(latitude, longitude, form.get("Label") or None, form.get("Address") or None)
    content.text = content.text or form.get("Body") or None
    return content
