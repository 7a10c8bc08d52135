"""Makes the parts of an answer such that the gateway takes each of them.

No text is lost by it. An answer so long that REPLY_PARTS_MAX parts cannot hold it becomes more parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal, NamedTuple

from gateways.sending import Part, Sender
from gateways.split_text import split_text
from gateways.whatsapp_markdown import styled_parts, styled_text

PARAGRAPH_END = re.compile(r"```(?s:.*?)(?:```|\Z)|(?P<end>[^\S\n]*+\n[^\S\n]*+\n\s*+)")
"""The blank lines between two paragraphs. A block of code is read as a whole, because it may hold blank lines."""

JOINT = "\n\n"


class ReplyStyle(NamedTuple):
    """How a route wants its answers: REPLY_SPLIT, REPLY_PARTS_MAX and REPLY_MARKDOWN."""

    split: Literal["off", "paragraphs"] = "off"
    parts_max: int = 5
    markdown: Literal["off", "whatsapp"] = "off"


def parts_for(parts: Iterable[Part], sender: Sender, style: ReplyStyle) -> tuple[Part, ...]:
    """Return the parts to send, in order: styled, without what the gateway cannot take, split, and joined.

    Each text is at most as long as the sender takes. A file that it cannot send becomes a text with the link. Blank
    texts are left out.
    """
    if style.markdown == "whatsapp":
        parts = [styled for part in parts for styled in _styled(part, sender)]
    pieces = [piece for part in parts for piece in _pieces(part, sender, style)]
    return tuple(_joined(pieces, sender, style.parts_max))


def _styled(part: Part, sender: Sender) -> list[Part]:
    if part.text is None:
        return [part]
    if part.kind == "text":
        return styled_parts(part.text, sender.media_kinds)
    return [part._replace(text=styled_text(part.text))]


def _pieces(part: Part, sender: Sender, style: ReplyStyle) -> Iterator[Part]:
    """Yield the parts that the gateway takes instead of one part."""
    if part.kind != "text" and part.kind in sender.media_kinds:
        text = part.text or ""
        fits = part.kind in sender.caption_kinds and sender.text_size(text) <= sender.caption_max
        yield part._replace(text=text if fits and text.strip() else None)
        texts = [] if fits else [text]
    elif part.kind == "text":
        texts = _paragraphs(part.text or "", style)
    else:
        texts = ["\n".join(filter(None, (part.text or part.filename, part.url)))]
    for text in texts:
        yield from (Part(text=piece) for piece in split_text(text, sender.text_max, sender.text_size))


def _paragraphs(text: str, style: ReplyStyle) -> list[str]:
    """Return the first paragraphs and, as the last one, the rest that would be joined again."""
    if style.split == "off":
        return [text]
    text = text.strip()
    ends = (found.span() for found in PARAGRAPH_END.finditer(text) if found["end"])
    paragraphs, start = [], 0
    for end, following in islice(ends, style.parts_max - 1):
        paragraphs.append(text[start:end])
        start = following
    return [*paragraphs, text[start:]]


def _joined(parts: list[Part], sender: Sender, parts_max: int) -> list[Part]:
    """Join texts that are neighbours and fit together, the last ones first, until no more than `parts_max` are left."""
    surplus = len(parts) - parts_max
    kept: list[Part] = []
    for part in reversed(parts):
        joined = _join(part, kept[-1], sender) if kept and surplus > 0 else None
        if joined is None:
            kept.append(part)
        else:
            kept[-1] = joined
            surplus -= 1
    return kept[::-1]


def _join(one: Part, other: Part, sender: Sender) -> Part | None:
    """Return both texts as one part, or None if one is a file or they are too long together."""
    if one.kind != "text" or other.kind != "text":
        return None
    text = f"{one.text}{JOINT}{other.text}"
    return Part(text=text) if sender.text_size(text) <= sender.text_max else None
