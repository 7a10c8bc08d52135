"""The words of the page in Portuguese and English, chosen by `Accept-Language`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from webhook.dashboard.words_english import ENGLISH
from webhook.dashboard.words_portuguese import PORTUGUESE

Language = Literal["en", "pt"]

WORDS: dict[Language, Mapping[str, str]] = {"en": ENGLISH, "pt": PORTUGUESE}
HTML_LANGUAGES: dict[Language, str] = {"en": "en", "pt": "pt-BR"}


def language_of(accept_language: str) -> Language:
    """Return the first of the two languages that a browser prefers, English if it names neither."""
    wanted = [_weighted(part) for part in accept_language.split(",")[:20]]
    for _, name in sorted(wanted, key=lambda item: -item[0]):
        if name in ("pt", "en"):
            return "pt" if name == "pt" else "en"
    return "en"


def _weighted(part: str) -> tuple[float, str]:
    """Return the weight of a language range, 0 if it cannot be read, and its language."""
    name, _, quality = part.partition(";q=")
    language = name.strip().lower().partition("-")[0]
    try:
        return float(quality or 1), language
    except ValueError:
        return 0.0, language


def word(words: Mapping[str, str], prefix: str, name: str) -> str:
    """Return the word for a name that Redis holds, and the name itself if the page has no word for it."""
    return words.get(f"{prefix}_{name}", name)


def counted(messages: int, words: Mapping[str, str]) -> str:
    """Return a number of messages, `1 message` or `2 messages`."""
    return f"{messages} {words['message' if messages == 1 else 'messages']}"
