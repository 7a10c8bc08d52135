"""Where a long text is split, and what is never split."""

from __future__ import annotations

import itertools

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from gateways.split_text import split_text

FAMILY, FLAG, KEYCAP, SKIN, ENGLAND, ACCENT = (
    "\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "\U0001f1e7\U0001f1f7",
    "1\ufe0f\u20e3",
    "\U0001f44d\U0001f3fd",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "e\u0301",
)
CLUSTERS = (FAMILY, FLAG, KEYCAP, SKIN, ENGLAND, ACCENT)
LINK = "https://example.com/a?b=c."

WORDS = ("oi", "tudo", "bem?", "Sim.", "10.5", "não!", f" {LINK} ", "\u597d\u3002\u597d", "a\u00a0b", *CLUSTERS)
SPACES = ("", " ", "\n", "\n\n", " \n \n ", "\r\n", "\t")
texts = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(SPACES)), max_size=60).map(
    lambda pairs: "".join(itertools.chain.from_iterable(pairs))
)


def utf16_units(text: str) -> int:
    """The size of a text as Telegram counts it."""
    return len(text.encode("utf-16-le")) // 2


sizes = st.sampled_from([len, utf16_units])


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("curto", ["curto"]),
        ("  fica como está\n", ["  fica como está\n"]),
        ("", []),
        (" \n ", []),
        ("Um dois.\nTrês.\n\nQuatro cinco seis", ["Um dois.\nTrês.", "Quatro cinco seis"]),
        ("Um dois. Três.\nQuatro cinco seis", ["Um dois. Três.", "Quatro cinco seis"]),
        ("Um dois. Três quatro cinco seis", ["Um dois.", "Três quatro cinco", "seis"]),
        ("Um dois três quatro cinco seis", ["Um dois três quatro", "cinco seis"]),
        ("Custa 10. 50 e não mais do que isso", ["Custa 10. 50 e não", "mais do que isso"]),
        ("R$\u00a010 para as mesas R$\u00a010", ["R$\u00a010 para as mesas", "R$\u00a010"]),
        ("x" * 45, ["x" * 20, "x" * 20, "x" * 5]),
        ("Veja https://example.com/longo/demais agora", ["Veja", "https://example.com/", "longo/demais agora"]),
        ("\u770bhttps://example.com/a", ["\u770b", "https://example.com/", "a"]),
        ("a" * 18 + FAMILY, ["a" * 18, FAMILY]),
        ("a" * 15 + " \u0301" + "b" * 10, ["a" * 15 + " \u0301bbb", "b" * 7]),
        (FLAG * 11, [FLAG * 10, FLAG]),
        ("\u597d" * 10 + "\u3002" + "\u597d" * 15, ["\u597d" * 10 + "\u3002", "\u597d" * 15]),
    ],
)
def test_where_it_is_split(text: str, pieces: list[str]):
    """At a paragraph, else a line, else a sentence, else a word; what is longer than the limit, anywhere."""
    assert split_text(text, 20) == pieces


def test_utf16_units():
    """A size that counts an emoji as two is kept."""
    assert split_text("\U0001f600" * 3, 4, utf16_units) == ["\U0001f600" * 2, "\U0001f600"]
    assert split_text("\U0001f600" * 3, 5, utf16_units) == ["\U0001f600" * 2, "\U0001f600"]


def test_a_cluster_without_end_is_split():
    """A hundred accents on one letter are one character to a person, and still do not fit."""
    pieces = split_text("e" + "\u0301" * 100, 30)
    assert "".join(pieces) == "e" + "\u0301" * 100
    assert max(map(len, pieces)) == 30


@given(texts, st.integers(30, 60), sizes)
def test_nothing_is_lost_or_too_long(text: str, limit: int, size):
    """The pieces are the text without some white space, each within the limit, none blank."""
    pieces = split_text(text, limit, size)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(size(piece) <= limit and piece.strip() for piece in pieces)


@given(st.text(max_size=60), st.integers(2, 9), sizes)
def test_nothing_of_any_text_is_lost(text: str, limit: int, size):
    """The same for the oddest texts and the smallest limits."""
    pieces = split_text(text, limit, size)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(size(piece) <= limit and piece.strip() for piece in pieces)


@given(texts, st.integers(30, 60), sizes)
def test_no_link_and_no_emoji_is_split(text: str, limit: int, size):
    """What a person sees as one character, and every link, is whole in one of the pieces."""
    pieces = split_text(text, limit, size)
    clusters = [one for one in regex.findall(r"\X", text) if one.strip()]
    assert [one for piece in pieces for one in regex.findall(r"\X", piece) if one.strip()] == clusters
    assert sum(piece.count(LINK) for piece in pieces) == text.count(LINK)


@given(texts, st.integers(30, 60))
def test_a_piece_is_not_split_again(text: str, limit: int):
    """Splitting the pieces changes nothing."""
    pieces = split_text(text, limit)
    assert [again for piece in pieces for again in split_text(piece, limit)] == pieces
