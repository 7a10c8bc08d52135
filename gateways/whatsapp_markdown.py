"""Turns the Markdown of an answer into what WhatsApp shows, and its images and files into parts of their own.

Text without Markdown comes out unchanged, and so does `*text*`: it is bold in WhatsApp, and whoever writes for WhatsApp
means that.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from itertools import groupby

from markdown_it.token import Token

from gateways.markdown_syntax import PARSER
from gateways.sending import Part, PartKind
from gateways.whatsapp_inline import Piece, inline_pieces, inline_text

MARKDOWN_MAX = 65_536
"""Characters of the longest text that is read as Markdown, in less than a second. WhatsApp shows no longer one."""

ITEM = re.compile(r"\n(?=[ \t]*+(?:[-*+>]|\d{1,9}[.)])[ \t])")
"""The line end before the next item of a list, or the next line of a quote."""

STAR = re.compile(r"\A([ \t]*+)\*(?=[ \t])")
"""The mark of an item that WhatsApp could take for the beginning of bold text."""

DANGLING = re.compile(r"(?:^|(?<=\n))[ \t]*+(?:[-*+>]|\d{1,9}[.)])?[ \t]*+\Z")
"""A last line that has only the mark of an item: what stood there became a part of its own."""


def styled_parts(text: str, media_kinds: Collection[PartKind] = ()) -> list[Part]:
    """Return the text as WhatsApp shows it, and each image, and each link alone on its line to a file, as a part.

    Files of other kinds than `media_kinds` stay in the text as `label: link`.
    """
    if len(text) > MARKDOWN_MAX:
        return [Part(text=text)]
    plain = text.replace("\r\n", "\n")
    pieces = [*_pieces(plain, media_kinds)]
    if all(isinstance(piece, str) for piece in pieces):
        styled = "".join(map(str, pieces))
        return [Part(text=text if styled == plain else styled)]
    return [*_parts(pieces)]


def styled_text(text: str) -> str:
    """Return the text as WhatsApp shows it, with images as `label: link`."""
    return styled_parts(text)[0].text or ""


def _parts(pieces: Iterable[Piece]) -> Iterator[Part]:
    """Join the pieces of text between files. Blank ones are left out."""
    for is_text, group in groupby(pieces, lambda piece: isinstance(piece, str)):
        if not is_text:
            yield from (piece for piece in group if isinstance(piece, Part))
        elif text := DANGLING.sub("", "".join(map(str, group))).strip():
            yield Part(text=text)


def _pieces(text: str, media_kinds: Collection[PartKind]) -> Iterator[Piece]:
    """Yield the pieces of the text, block by block. Lines between the blocks are blank."""
    lines = text.split("\n")
    done = 0
    for block in _blocks(text):
        first, last = block[0].map or (done, done)
        yield "\n" * (first - done) if done == 0 else "\n" * (first - done + 1)
        yield from _block(block, lines[first:last], media_kinds)
        done = last
    yield "\n".join(["", *lines[done:]]) if done else text


def _blocks(text: str) -> Iterator[list[Token]]:
    """Yield the tokens of each block: a paragraph, a heading, a table or a fenced code."""
    block: list[Token] = []
    for token in PARSER.block.parse(text, PARSER, {}, []) or []:
        block.append(token)
        if token.level == 0 and token.nesting <= 0:
            yield block
            block = []


def _block(block: list[Token], lines: list[str], media_kinds: Collection[PartKind]) -> Iterator[Piece]:
    kind = block[0].type
    if kind == "paragraph_open":
        yield from _paragraph("\n".join(lines), media_kinds)
    elif kind == "heading_open":
        yield _bold(block[1].content) or "\n".join(lines)
    elif kind == "table_open":
        yield "\n".join(_rows(block))
    else:
        yield "\n".join(lines)


def _paragraph(text: str, media_kinds: Collection[PartKind]) -> Iterator[Piece]:
    for number, item in enumerate(ITEM.split(text)):
        if number:
            yield "\n"
        yield from inline_pieces(STAR.sub(r"\1-", item), media_kinds)


def _bold(text: str) -> str:
    """Return a text as one bold line, or an empty text for none."""
    inner = inline_text(text, within_bold=True)
    return f"*{inner}*" if inner.strip() else ""


def _rows(block: list[Token]) -> Iterator[str]:
    """Yield the lines of a table: its cells with ` | ` between, those of its head in bold."""
    cells: list[str] = []
    for before, token in zip(block, block[1:], strict=False):
        if token.type == "inline":
            cells.append(_bold(token.content) if before.type == "th_open" else inline_text(token.content))
        elif token.type == "tr_close":
            yield " | ".join(cells).strip()
            cells = []
