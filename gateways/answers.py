"""Parts that several gateways send in one form: the answers of a form, and the advertisement a person came from."""

from __future__ import annotations

from typing import Any

import orjson

from gateways.base import BadRequest
from gateways.content import Content, choice_content, referral_of, unknown_content
from gateways.fields import first_text, object_of, read_json, text_of
from gateways.raw import is_public


def form_content(name: str | None, title: str | None, answers: Any) -> Content:
    """Return the content of a filled-in form. `answers` is JSON text, or the object or list in it.

    Without a name and a title the answers themselves are the text, one a line.
    """
    content = choice_content(name, title, response_json=json_text(answers))
    if content.text is None:
        fields = object_of(parsed(answers) if isinstance(answers, str) else answers)
        lines = [f"{field}: {text}" for field, value in fields.items() if is_public(field) and (text := text_of(value))]
        content.text = "\n".join(lines) or None
    return content


def json_text(value: Any) -> str | None:
    """Return JSON text unchanged, and an object or list as JSON text. Return None for anything else."""
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode() if value else None
    return text_of(value)


def parsed(written: str | None) -> Any:
    """Return the value of JSON text, or None for text that is no JSON."""
    try:
        return read_json((written or "null").encode())
    except BadRequest:
        return None


def ad_referral(value: Any) -> dict[str, Any]:
    """Return the `referral` of an advertisement in the form of Meta's Cloud API, else an empty object."""
    advert = object_of(value)
    if not advert:
        return {}
    return referral_of(
        source_type=first_text(advert, "source_type", "sourceType"),
        source_id=first_text(advert, "source_id", "sourceId"),
        source_url=first_text(advert, "source_url", "sourceUrl"),
        headline=first_text(advert, "headline", "title"),
        body=first_text(advert, "body", "description"),
        media_url=first_text(advert, "media_url", "image_url", "video_url", "thumbnail_url", "thumbnailUrl"),
        ctwa_clid=first_text(advert, "ctwa_clid", "ctwaClid"),
    )


def ad_opener(referral: dict[str, Any]) -> Content | None:
    """Return the content of a message without words that came from an advertisement, None for any other.

    Its text is the title of the advertisement.
    """
    return unknown_content("ad", referral.get("headline") or referral.get("body")) if referral else None
