"""Splits a text that is longer than a gateway takes, at the place that a reader notices least."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

import regex

NOT_A_MARK = r"(?![\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}])"

WIDE_STOP = r"[\u3002\uff01\uff1f]"
"""The ends of sentences in scripts that have no spaces between them."""

BREAKS = tuple(
    regex.compile(pattern + NOT_A_MARK)
    for pattern in (
        r"[^\S\n]*+\n[^\S\n]*+\n\s*+",  # a paragraph ends
        r"[^\S\n]*+\n\s*+",  # a line ends
        rf"(?:[^\d\s][.!?…][\"'\p{{Pf}}\p{{Pe}}*_~]{{0,4}}+\K\s++|(?<={WIDE_STOP})(?!{WIDE_STOP}))",  # a sentence ends
        r"[^\S\u00a0\u202f]++",  # a word ends; a non-breaking space does not end it
    )
)
"""The places where a text is split, the best kind first. White space that they match is left out."""

LINK = regex.compile(r"https?://[^\s<>\"\u3000-\u303f\uff00-\uffef]++", regex.IGNORECASE)
CLUSTER = regex.compile(r"\X")

SEEN_AHEAD = 64
"""Code points after the limit that are looked at for the end of a white space, a link or an emoji."""

Size = Callable[[str], int]


def split_text(text: str, limit: int, size: Size = len) -> list[str]:
    """Return the pieces of the text, each of at most `limit` by `size`. Only white space between them is left out.

    A link or an emoji of many code points is split only if it is longer than the limit itself. `size` counts one or
    more for each code point.
    """
    pieces = []
    start = 0
    while size(text[start : start + limit + 1]) > limit:
        end, following = _cut(text, start, start + _fitting(text[start : start + limit], limit, size))
        pieces.append(text[start:end])
        start = following
    return [piece for piece in [*pieces, text[start:]] if piece.strip()]


def _fitting(text: str, limit: int, size: Size) -> int:
    """Return the number of code points that fit into the limit, at least 1."""
    return max(1, bisect_right(range(len(text) + 1), limit, key=lambda count: size(text[:count])) - 1)


def _cut(text: str, start: int, last: int) -> tuple[int, int]:
    """Return where the piece that begins at `start` ends, at `last` or before, and where the next one begins."""
    for pattern in BREAKS:
        found = [match.span() for match in pattern.finditer(text, start, last + SEEN_AHEAD)]
        if places := [(end, following) for end, following in found if start < end <= last]:
            return _outside_links(text, start, places[-1])
    end = _last_boundary(text, start, last)
    return _outside_links(text, start, (end, end))


def _last_boundary(text: str, start: int, last: int) -> int:
    """Return the last place between two clusters (what a person takes for one character), or `last` without any."""
    ends = (match.end() for match in CLUSTER.finditer(text, start, last + SEEN_AHEAD))
    return max((end for end in ends if end <= last), default=last)


def _outside_links(text: str, start: int, place: tuple[int, int]) -> tuple[int, int]:
    """Return the place, or the beginning of the link that it would split.

    A link that begins at `start` is longer than the limit: it is split.
    """
    for link in LINK.finditer(text, start, place[0] + SEEN_AHEAD):
        if start < link.start() < place[0] < link.end():
            return link.start(), link.start()
    return place
