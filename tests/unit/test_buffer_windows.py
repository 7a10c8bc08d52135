"""The text of a window, and its bytes in a record."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from buffer.windows import ENGLISH, HELD, WHYS, pack_window, read_why, window_text

PRELUDE = Path("buffer/lua/include/prelude.lua").read_text()


def text(window_ms: int | None, why: str, is_held: bool = False) -> str:
    """Return the text of a record's window."""
    return window_text(SimpleNamespace(window_ms=window_ms, window_why=why, is_held=is_held))


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ((8_000, "fixed"), "8 s"),
        ((8_000, "fixed", True), "8 s, held while typing"),
        ((5_240, "auto_channel"), "auto 5.2 s: channel"),
        ((4_100, "auto_contact", True), "auto 4.1 s: contact, held while typing"),
        ((0, "first"), "0 s: first"),
        ((3_000, "typing"), "3 s: typing"),
        ((15_000, "auto_explore"), "auto 15 s: explore"),
        ((8_000, "auto_broken"), "auto 8 s: histogram unreadable"),
        ((0, ""), ""),
        ((None, ""), ""),
    ],
)
def test_text(record, expected):
    """A fixed window is its length; every other says why."""
    assert text(*record) == expected


def test_every_reason_has_a_text_and_a_number():
    """Every reason can be packed, read and told."""
    for number, why in enumerate(WHYS):
        assert pack_window(70_000, why) == (70_000).to_bytes(6) + bytes([number])
        assert read_why(number) == why
        assert not why or text(1_000, why)
    assert read_why(len(WHYS)) == ""
    assert set(ENGLISH) >= {why.removeprefix("auto_") for why in WHYS[2:]}


def test_the_scripts_have_the_same_numbers():
    """The comment of the prelude names the reasons in the same order."""
    numbers = re.search(r"-- Why: (.*?)\(buffer/windows\.py", PRELUDE, re.DOTALL)
    assert numbers is not None
    named = re.findall(r"(\d) (\w+)", numbers[1])
    assert [int(number) for number, _ in named] == list(range(len(WHYS)))
    assert [word for _, word in named[1:]] == [why.removeprefix("auto_") for why in WHYS[1:]]
    assert f"{HELD} held" in PRELUDE
