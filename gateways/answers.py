"""Parts that several gateways send in one form: the answers of a form, and the advertisement a person came from."""

from __future__ import annotations

from collections.abc import Iterator
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
        content.text = "\n".join(_lines(parsed(answers) if isinstance(answers, str) else answers)) or None
    return content


def _lines(answers: Any, field: str | None = None, levels: int = 5) -> Iterator[str]:
    """Yield the name and the value of each answer, also of those inside others."""
    if text := text_of(answers):
        yield f"{field}: {text}" if field else text
    elif isinstance(answers, dict) and levels:
        for name, answer in answers.items():
            if is_public(name):
                yield from _lines(answer, name, levels - 1)
    elif isinstance(answers, list) and levels:
        for answer in answers:
            yield from _lines(answer, field, levels - 1)


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
