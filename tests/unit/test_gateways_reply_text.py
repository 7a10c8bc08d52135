"""What the parts of an answer become before they are sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.reply_text import ReplyStyle, parts_for
from gateways.sending import InDoubt, Part, PartKind, Rate, Sender, SendRequest

ALL: frozenset[PartKind] = frozenset({"image", "audio", "video", "document"})
PHOTO, VOICE, NOTE = "https://x.io/foto.jpg", "https://x.io/a.ogg", "https://x.io/nota.pdf"
NO_REQUEST = SendRequest("POST", "http://x", {}, b"", "http://x")
NO_RATE = Rate(0)


def utf16_units(words: str) -> int:
    """The size of a text as Telegram counts it."""
    return len(words.encode("utf-16-le")) // 2


def sender(text_max: int = 40, **fields: Any) -> Sender:
    """A gateway that takes texts of this length, and files unless told otherwise."""
    plain = Sender(lambda *_: NO_REQUEST, lambda *_: InDoubt("x"), text_max, NO_RATE, NO_RATE)
    changes: dict[str, Any] = {"media_kinds": ALL, "caption_max": 20} | fields
    return replace(plain, **changes)


def text(words: str) -> Part:
    """A part that is a text."""
    return Part(text=words)


def texts(*words: str) -> list[Part]:
    """Parts that are texts."""
    return [text(one) for one in words]


PLAIN, BUBBLES = ReplyStyle(), ReplyStyle("paragraphs")


def test_a_text_stays_as_it_is():
    """A text that fits is sent byte for byte, its white space too."""
    assert parts_for(texts(" oi\n\n**tudo** bem? "), sender(), PLAIN) == (text(" oi\n\n**tudo** bem? "),)


def test_blank_texts_are_left_out():
    """Nothing is sent for nothing."""
    assert parts_for(texts("", " \n", "oi"), sender(), PLAIN) == (text("oi"),)
    assert parts_for([Part("image", " ", PHOTO)], sender(), PLAIN) == (Part("image", None, PHOTO),)


def test_a_long_text_is_split():
    """Each part is as long as the gateway takes."""
    assert parts_for(texts("a" * 30 + " " + "b" * 30), sender(), PLAIN) == (text("a" * 30), text("b" * 30))


def test_the_gateways_own_units():
    """A size of its own is the measure of texts, captions and joints."""
    wide = sender(10, text_size=utf16_units, caption_max=4)
    smile = "\U0001f600"
    assert parts_for(texts(smile * 7), wide, PLAIN) == (text(smile * 5), text(smile * 2))
    assert parts_for([Part("image", smile * 3, PHOTO)], wide, PLAIN)[0] == Part("image", None, PHOTO)
    assert len(parts_for(texts(*[smile * 3] * 6), wide, PLAIN)) == 6


@pytest.mark.parametrize(
    ("given_texts", "sent"),
    [
        (["um\n\ndois\nainda dois\n \n\n três "], ["um", "dois\nainda dois", "três"]),
        (["1\n\n2\n\n3\n\n4\n\n5\n\n\n6\n\n7"], ["1", "2", "3", "4", "5\n\n\n6\n\n7"]),
        (["1\n\n2\n\n3", "4\n\n5\n\n6"], ["1", "2", "3", "4", "5\n\n6"]),
        (["um"], ["um"]),
        (["um\n\n```\na\n\nb\n```\n\ndois"], ["um", "```\na\n\nb\n```", "dois"]),
        (["um\n\n```\na\n\nb"], ["um", "```\na\n\nb"]),
    ],
)
def test_paragraphs(given_texts: list[str], sent: list[str]):
    """REPLY_SPLIT=paragraphs makes a part of each paragraph; those beyond REPLY_PARTS_MAX stay together."""
    assert parts_for(texts(*given_texts), sender(), BUBBLES) == tuple(texts(*sent))


def test_more_parts_than_wanted():
    """The first parts stay, the rest is joined."""
    assert parts_for(texts(*"abcdefg"), sender(), PLAIN) == tuple(texts("a", "b", "c", "d", "e\n\nf\n\ng"))
    assert parts_for(texts(*"abc"), sender(), ReplyStyle(parts_max=1)) == (text("a\n\nb\n\nc"),)
    one = ReplyStyle("paragraphs", parts_max=1)
    assert parts_for(texts("a\n\nb"), sender(), one) == (text("a\n\nb"),)


def test_what_cannot_be_joined_is_sent_all_the_same():
    """No text is lost: what does not fit into the allowed parts becomes more parts."""
    long = [letter * 25 for letter in "abcdefg"]
    assert parts_for(texts(*long), sender(), PLAIN) == tuple(texts(*long))


def test_files_are_not_joined():
    """Texts beside a file are joined where they stand, from the end."""
    parts = [*texts("a", "b", "c", "d"), Part("image", None, PHOTO), *texts("e", "f")]
    sent = parts_for(parts, sender(), PLAIN)
    assert sent == (text("a"), text("b"), text("c\n\nd"), Part("image", None, PHOTO), text("e\n\nf"))


FILES = {
    "caption": (Part("image", "veja", PHOTO), [Part("image", "veja", PHOTO)]),
    "long caption": (Part("image", "c" * 21, PHOTO), [Part("image", None, PHOTO), text("c" * 21)]),
    "very long caption": (
        Part("document", "c" * 50, NOTE, "n.pdf"),
        [Part("document", None, NOTE, "n.pdf"), text("c" * 40), text("c" * 10)],
    ),
    "caption of a voice": (Part("audio", "ouça", VOICE), [Part("audio", None, VOICE), text("ouça")]),
    "voice": (Part("audio", None, VOICE), [Part("audio", None, VOICE)]),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file(name: str):
    """A caption that does not fit, or that no one would see, is sent as a text after the file."""
    part, sent = FILES[name]
    assert parts_for([part], sender(), PLAIN) == tuple(sent)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (Part("image", "veja", PHOTO), f"veja\n{PHOTO}"),
        (Part("image", None, PHOTO), PHOTO),
        (Part("document", None, NOTE, "nota.pdf"), f"nota.pdf\n{NOTE}"),
        (Part("document", "a nota", NOTE, "nota.pdf"), f"a nota\n{NOTE}"),
    ],
)
def test_a_file_that_the_gateway_cannot_send(part: Part, words: str):
    """It becomes a text with its caption, or its name, and the link."""
    assert parts_for([part], sender(media_kinds=frozenset()), PLAIN) == (text(words),)


def test_markdown():
    """REPLY_MARKDOWN=whatsapp styles texts and captions, and makes parts of files; `off` leaves all as it is."""
    parts = [text(f"**oi**\n\n![f]({PHOTO})"), Part("video", "**veja**", "https://x.io/v")]
    styled = ReplyStyle(markdown="whatsapp")
    assert parts_for(parts, sender(), styled) == (
        text("*oi*"),
        Part("image", "f", PHOTO),
        Part("video", "*veja*", "https://x.io/v"),
    )
    assert parts_for(parts, sender(media_kinds=frozenset()), styled) == (
        text(f"*oi*\n\nf: {PHOTO}"),
        text("*veja*\nhttps://x.io/v"),
    )
    assert parts_for(parts, sender(), PLAIN) == tuple(parts)


words = st.lists(st.sampled_from(["oi", "tudo.", "bem", "x" * 45, "\n\n", "\n", " "]), max_size=25).map(" ".join)
given_parts = st.lists(
    words.map(text) | st.builds(Part, st.sampled_from(sorted(ALL)), st.none() | words, st.just(PHOTO), st.none()),
    max_size=20,
)
styles = st.builds(ReplyStyle, st.sampled_from(["off", "paragraphs"]), st.integers(1, 6), st.just("off"))
senders = st.builds(
    sender, media_kinds=st.frozensets(st.sampled_from(sorted(ALL))), text_size=st.sampled_from([len, utf16_units])
)


def all_words(parts: Iterable[Part]) -> str:
    """The texts of parts, without white space and addresses."""
    return "".join("".join(part.text or "" for part in parts).replace(PHOTO, "").split())


def count_files(parts: Iterable[Part]) -> int:
    """The number of addresses, in texts too."""
    return sum(f"{part.text} {part.url}".count(PHOTO) for part in parts)


@given(given_parts, senders, styles)
def test_no_text_is_lost(parts: list[Part], gateway: Sender, style: ReplyStyle):
    """Every word and every file is sent, in order, and each part is one that the gateway takes."""
    sent = parts_for(parts, gateway, style)
    assert all_words(sent) == all_words(parts)
    assert count_files(sent) == count_files(parts)
    assert [part.kind for part in sent if part.url] == [part.kind for part in parts if part.kind in gateway.media_kinds]
    for part in sent:
        limit = gateway.text_max if part.kind == "text" else gateway.caption_max
        assert gateway.text_size(part.text or "") <= limit
        assert part.kind in gateway.media_kinds or (part.text or "").strip()


@given(given_parts, senders, styles)
def test_what_was_made_fit_stays(parts: list[Part], gateway: Sender, style: ReplyStyle):
    """The parts of parts are the same, save for the blank lines between joined paragraphs."""
    once = parts_for(parts, gateway, style._replace(split="off"))
    assert parts_for(once, gateway, style._replace(split="off")) == once


@given(given_parts, senders, styles)
def test_no_more_parts_than_needed(parts: list[Part], gateway: Sender, style: ReplyStyle):
    """Beyond REPLY_PARTS_MAX no two neighbours are left that would fit together."""
    sent = parts_for(parts, gateway, style)
    if len(sent) > style.parts_max:
        for one, other in pairwise(sent):
            both = f"{one.text}\n\n{other.text}"
            assert {one.kind, other.kind} != {"text"} or gateway.text_size(both) > gateway.text_max
