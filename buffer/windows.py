"""The window of a message and of a burst: how long it is, and why.

The window of a message in a record is 7 bytes: window_ms (6 bytes, unsigned, big-endian), the number of the reason (1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

WHYS = (
    "",
    "fixed",
    "first",
    "typing",
    "auto_start",
    "auto_channel",
    "auto_contact",
    "auto_explore",
    "auto_broken",
)
"""Why a window is what it is. A reason's place is its number in lua/include/prelude.lua, where each is explained."""

HELD = 2
"""The flag of a burst whose deadline a typing event has moved (lua/include/prelude.lua)."""

AUTO = "auto_"

ENGLISH = {
    "auto": "auto",
    "first": "first",
    "typing": "typing",
    "start": "start",
    "channel": "channel",
    "contact": "contact",
    "explore": "explore",
    "broken": "histogram unreadable",
    "held": "held while typing",
}
"""What the text of a window says of each reason, and of a burst that was held."""


class Recorded(Protocol):
    """What a record tells of the window of its burst."""

    @property
    def window_ms(self) -> int | None:
        """The quiet time that its last message began."""

    @property
    def window_why(self) -> str:
        """Why it was that."""

    @property
    def is_held(self) -> bool:
        """Whether a typing event moved the deadline."""


def pack_window(window_ms: int, why: str) -> bytes:
    """Return a window as a record of an append call has it."""
    return window_ms.to_bytes(6, "big") + bytes([WHYS.index(why)])


def read_why(number: int) -> str:
    """Return the reason with this number, '' for a number that no script writes."""
    return WHYS[number] if number < len(WHYS) else ""


def window_text(record: Recorded, words: Mapping[str, str] = ENGLISH) -> str:
    """Return the window of a flush and why it was that, for people: `auto 4.1 s: contact, held while typing`.

    A fixed window is only its length. '' if the record does not tell it.
    """
    if record.window_ms is None or not record.window_why:
        return ""
    why = record.window_why.removeprefix(AUTO)
    text = f"{round(record.window_ms / 1000, 1):g} s"
    if why != "fixed":
        text += f": {words[why]}"
    if why != record.window_why:
        text = f"{words['auto']} {text}"
    return f"{text}, {words['held']}" if record.is_held else text
