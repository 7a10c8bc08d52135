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

CELL_END = re.compile(r"(?<!\\)\|")

MARKDOWN_MAX = 20_480
"""Characters of the longest text that is read as Markdown: five messages of WhatsApp. The worst one takes 0.2 s."""

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
    """Yield the pieces of the text, block by block. What stands between the blocks is blank, and stays."""
    line_starts = [0, *(line_end.end() for line_end in re.finditer("\n", text)), len(text)]
    done = 0
    for block in _blocks(text):
        first, last = (line_starts[line] for line in block[0].map or (0, 0))
        source = text[first:last].removesuffix("\n")
        yield text[done:first]
        yield from _block(block, source, media_kinds)
        done = first + len(source)
    yield text[done:]


def _blocks(text: str) -> Iterator[list[Token]]:
    """Yield the tokens of each block: a paragraph, a heading, a table or a fenced code."""
    block: list[Token] = []
    for token in PARSER.block.parse(text, PARSER, {}, []) or []:
        block.append(token)
        if token.level == 0 and token.nesting <= 0:
            yield block
            block = []


def _block(block: list[Token], source: str, media_kinds: Collection[PartKind]) -> Iterator[Piece]:
    kind = block[0].type
    if kind == "paragraph_open":
        yield from _paragraph(source, media_kinds)
    elif kind == "heading_open":
        yield _bold(block[1].content) or source
    elif kind == "table_open":
        yield "\n".join(_rows(source))
    else:
        yield source


def _paragraph(text: str, media_kinds: Collection[PartKind]) -> Iterator[Piece]:
    for number, item in enumerate(ITEM.split(text)):
        if number:
            yield "\n"
        yield from inline_pieces(STAR.sub(r"\1-", item), media_kinds)


def _bold(text: str) -> str:
    """Return a text as one bold line, or an empty text for none."""
    inner = inline_text(text, within_bold=True)
    return f"*{inner}*" if inner.strip() else ""


def _rows(source: str) -> Iterator[str]:
    """Yield the lines of a table: its cells with ` | ` between, those of its head in bold."""
    head, _, *rows = source.split("\n")
    yield " | ".join(map(_bold, _cells(head))).strip()
    for row in rows:
        yield " | ".join(map(inline_text, _cells(row))).strip()


def _cells(row: str) -> list[str]:
    """Return the cells of a row, those beyond the head's too. The outer marks of a row are no cells."""
    cells = [cell.strip().replace("\\|", "|") for cell in CELL_END.split(row.strip())]
    return cells[not cells[0] : len(cells) - (len(cells) > 1 and not cells[-1])]
