"""Writes one paragraph, heading or cell of Markdown in WhatsApp's style."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from markdown_it.token import Token

from gateways.markdown_syntax import PARSER
from gateways.media_links import file_name, media_kind
from gateways.sending import Part, PartKind, is_link

BOUND = {"strong": "*", "s": "~"}
"""WhatsApp's marks for bold and struck text. They hold for one line, and not within each other."""

LINE_END = re.compile(r"[ \t]*+\n[ \t]*+")
SCHEME = re.compile(r"(?:https?://|mailto:|tel:)?(?:www\.)?", re.IGNORECASE)

Piece = str | Part


def inline_pieces(text: str, media_kinds: Collection[PartKind]) -> list[Piece]:
    """Return the text, and its images and links alone on their line to files of these kinds as parts, in order."""
    return _Writer(media_kinds).write(_tokens(text))


def inline_text(text: str, within_bold: bool = False) -> str:
    """Return the text, with images and files as `label: link`. `within_bold`: what stands around it is bold."""
    return "".join(map(str, _Writer((), within_bold).write(_tokens(text))))


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    PARSER.inline.parse(text, PARSER, {}, tokens)
    return tokens


def _italics_around_bold(tokens: Sequence[Token]) -> set[int]:
    """Return the numbers of the tokens that open italic text with bold text in it."""
    found: set[int] = set()
    italics: list[int] = []
    for number, token in enumerate(tokens):
        if token.type == "em_open":
            italics.append(number)
        elif token.type == "em_close":
            italics.pop()
        elif token.type == "strong_open" and italics and italics[-1] not in found:
            found.update(italics)
    return found


class _Writer:
    """Writes tokens one by one. Marks that are open, and links that are, wait for their end."""

    def __init__(self, media_kinds: Collection[PartKind], within_bold: bool = False) -> None:
        self._media_kinds = media_kinds
        self._within_bold = within_bold
        self._pieces: list[Piece] = []
        self._marks: list[str] = []
        self._bound: list[str] = []
        self._labels: list[int] = []

    def write(self, tokens: Sequence[Token]) -> list[Piece]:
        around_bold = _italics_around_bold(tokens)
        for number, token in enumerate(tokens):
            name = token.tag
            if token.type == "text":
                self._write_text(token.content)
            elif name == "a":
                self._write_link(token, tokens[number + 1 : number + 3])
            elif token.nesting < 0:
                self._close(name)
            elif name == "em":
                self._open("_" if number in around_bold or self._is_bold() else token.markup)
            else:
                self._open_bound(BOUND[name])
        return self._pieces

    def _is_bold(self) -> bool:
        return self._within_bold or "*" in self._bound

    def _write_text(self, text: str) -> None:
        if self._bound:
            opening = "".join(self._bound)
            text = LINE_END.sub(f"{opening[::-1]}\n{opening}", text)
        self._pieces.append(text)

    def _open(self, mark: str) -> None:
        self._marks.append(mark)
        self._pieces.append(mark)

    def _open_bound(self, mark: str) -> None:
        """Open bold or struck text. Within such text the mark is left out."""
        is_open = mark in self._bound or (mark == "*" and self._within_bold)
        self._open("" if is_open else mark)
        if not is_open:
            self._bound.append(mark)

    def _close(self, name: str) -> None:
        mark = self._marks.pop()
        self._pieces.append(mark)
        if mark and name in BOUND:
            self._bound.pop()

    def _write_link(self, token: Token, following: Sequence[Token]) -> None:
        """Remember where a label begins, or write the link at its end."""
        if token.nesting > 0:
            self._labels.append(len(self._pieces))
            return
        start = self._labels.pop()
        label = "".join(map(str, self._pieces[start:]))
        del self._pieces[start:]
        url, is_image = str(token.attrs["href"]), token.markup == "!"
        kind = self._part_kind(url, is_image) if not (self._marks or self._labels) else None
        if kind is not None and (is_image or self._is_alone(following)):
            name = file_name(url) if kind == "document" else None
            self._pieces.append(Part(kind, label.strip() or None, url, name or None))
        else:
            self._pieces.append(_in_words(label, url))

    def _part_kind(self, url: str, is_image: bool) -> PartKind | None:
        kind = media_kind(url) or ("image" if is_image and is_link(url) else None)
        return kind if kind in self._media_kinds else None

    def _is_alone(self, following: Sequence[Token]) -> bool:
        """Return True if no more than white space stands beside a link on its line."""
        rest, line_end, _ = following[0].content.partition("\n") if following else ("", "", "")
        is_last = not following or (following[0].type == "text" and (line_end or len(following) == 1))
        return bool(is_last) and not rest.strip() and self._is_line_blank()

    def _is_line_blank(self) -> bool:
        for piece in reversed(self._pieces):
            _, line_end, line = piece.rpartition("\n") if isinstance(piece, str) else ("", "\n", "")
            if line.strip():
                return False
            if line_end:
                return True
        return True


def _in_words(label: str, url: str) -> str:
    """Return a link as text. A label that repeats the address is left out."""
    shown = url if is_link(url) else url.partition(":")[2]
    if not label.strip() or _bare(label) == _bare(url):
        return shown
    return f"{label} {shown}" if label.endswith(":") else f"{label}: {shown}"


def _bare(text: str) -> str:
    return SCHEME.sub("", text.strip(), count=1).rstrip("/")
