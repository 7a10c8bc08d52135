"""Keywords: words that a person writes to steer the buffer, compared without case and without accents."""

from __future__ import annotations

import unicodedata
from typing import Literal, cast

TakeoverAction = Literal["resume", "take"]

ACTIONS: tuple[TakeoverAction, ...] = ("resume", "take")
"""What a keyword of TAKEOVER_KEYWORDS does: it gives the conversation back to the bot, or takes it."""

TEXT_MAX = 256
"""Characters of a text that can be a keyword. A longer one is not compared."""


def keyword_key(text: str) -> str:
    """Return the form in which keywords are compared: trimmed, without case and without accents."""
    trimmed = text.strip()
    if trimmed.isascii():
        return trimmed.casefold()
    apart = unicodedata.normalize("NFKD", trimmed.casefold())
    return unicodedata.normalize("NFC", "".join(sign for sign in apart if not unicodedata.combining(sign)))


def can_be_keyword(text: str) -> bool:
    """Return False for a text that is longer than any keyword."""
    return len(text) <= TEXT_MAX


def split_action(entry: str) -> tuple[str, TakeoverAction]:
    """Return the keyword and the action of an entry like `#bot=resume`. Raises ValueError for any other form."""
    word, separator, action = entry.rpartition("=")
    if not separator or not word.strip() or action.strip() not in ACTIONS:
        raise ValueError(f"{entry!r:.60} must be a word, = and {' or '.join(ACTIONS)}; e.g. #bot=resume,#humano=take")
    return word.strip(), cast(TakeoverAction, action.strip())


def takeover_actions(entries: tuple[str, ...]) -> dict[str, TakeoverAction]:
    """Return the action of each keyword, by its `keyword_key`. Raises ValueError if a word has two actions."""
    actions: dict[str, TakeoverAction] = {}
    for word, action in map(split_action, entries):
        if actions.setdefault(keyword_key(word), action) != action:
            raise ValueError(f"{word!r:.60} stands there twice, with two actions")
    return actions
