"""What an agent may answer: texts, files, a hand-over; and how what is not understood is named."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.answer_body import EXPECTED, NAMED_MAX, PARTS_MAX
from agents.generic import read_answer
from agents.results import AgentReply
from gateways.sending import Part

SECRET = "o texto da pessoa"
PHOTO = "https://cdn.example.com/foto.jpg"

words = st.text("aé /:", max_size=9)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
odd_parts = st.dictionaries(
    st.sampled_from(["text", "image", "audio", "video", "document", "caption", "filename"]),
    json_values | st.just(PHOTO) | st.just("ftp://x"),
    max_size=3,
)
odd_answers = st.fixed_dictionaries(
    {}, optional={"reply": json_values, "handoff": json_values, "replies": st.lists(json_values | odd_parts)}
)


def read(answer: Any) -> AgentReply:
    """Read a JSON answer."""
    return read_answer("application/json", orjson.dumps(answer))


UNDERSTOOD: dict[str, tuple[Any, tuple[Part, ...]]] = {
    "reply": ({"reply": "oi"}, (Part(text="oi"),)),
    "no reply": ({"reply": None}, ()),
    "empty reply": ({"reply": ""}, ()),
    "blank texts": ({"replies": ["", " \n", {"text": ""}, {"text": None}, "oi"]}, (Part(text="oi"),)),
    "no replies": ({"replies": []}, ()),
    "replies before reply": ({"reply": "a", "replies": ["b"]}, (Part(text="b"),)),
    "white space stays": ({"reply": " oi\n"}, (Part(text=" oi\n"),)),
    "a text as an object": ({"reply": {"text": "oi"}}, (Part(text="oi"),)),
    "image": ({"reply": {"image": PHOTO, "caption": "veja"}}, (Part("image", "veja", PHOTO),)),
    "image without a caption": ({"reply": {"image": f" {PHOTO} "}}, (Part("image", None, PHOTO),)),
    "text as caption": ({"reply": {"image": PHOTO, "text": "veja"}}, (Part("image", "veja", PHOTO),)),
    "audio": ({"replies": [{"audio": "http://x/a.ogg"}]}, (Part("audio", None, "http://x/a.ogg"),)),
    "video": ({"replies": [{"video": "https://x/v"}]}, (Part("video", None, "https://x/v"),)),
    "document": (
        {"replies": [{"document": "https://x/1", "filename": "nota.pdf", "caption": "a nota"}]},
        (Part("document", "a nota", "https://x/1", "nota.pdf"),),
    ),
    "fields that nobody knows": ({"replies": [{"text": "oi", "quote": 1}], "ok": 1}, (Part(text="oi"),)),
    "mixed": ({"replies": ["a", {"image": PHOTO}, "b"]}, (Part(text="a"), Part("image", None, PHOTO), Part(text="b"))),
}


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_it_is_understood(name: str):
    """Each form of a part becomes a part, in order, and nothing is complained about."""
    answer, parts = UNDERSTOOD[name]
    assert read(answer) == AgentReply(parts)


NAMED: dict[str, tuple[Any, str]] = {
    "number": (5, "part 2: a number, not a text or an object"),
    "list": (["a"], "part 2: a list, not a text or an object"),
    "null": (None, "part 2: null, not a text or an object"),
    "text is a number": ({"text": 5}, "part 2: `text` is a number, not a text"),
    "unknown kind": (
        {"sticker": SECRET},
        "part 2: neither `text` nor image, audio, video, document, but `sticker`",
    ),
    "nothing": ({}, "part 2: neither `text` nor image, audio, video, document, but no field"),
    "two files": (
        {"image": PHOTO, "audio": PHOTO},
        "part 2: image and audio in one part; each file is a part of its own",
    ),
    "no address": ({"image": SECRET}, "part 2: `image` is not an http or https address"),
    "data": ({"image": "data:image/png;base64,AAAA"}, "part 2: `image` is not an http or https address"),
    "path": ({"document": "/etc/passwd"}, "part 2: `document` is not an http or https address"),
    "file": ({"document": "file:///etc/passwd"}, "part 2: `document` is not an http or https address"),
    "no host": ({"video": "https:///v.mp4"}, "part 2: `video` is not an http or https address"),
    "broken host": ({"video": "https://[::1/v.mp4"}, "part 2: `video` is not an http or https address"),
    "white space": ({"video": "https://x/a b"}, "part 2: `video` is not an http or https address"),
    "file is a number": ({"audio": 5}, "part 2: `audio` is a number, not a text"),
    "caption is a list": ({"image": PHOTO, "caption": [SECRET]}, "part 2: `caption` is a list, not a text"),
}


@pytest.mark.parametrize("name", NAMED)
def test_it_is_named_and_the_others_are_taken(name: str):
    """A part that is not understood is named by its number and the reason, without what it holds."""
    item, reason = NAMED[name]
    reply = read({"replies": ["antes", item, "depois"]})
    assert reply == AgentReply((Part(text="antes"), Part(text="depois")), not_understood=reason)


@pytest.mark.parametrize(
    ("answer", "handoff", "reason"),
    [
        ({"handoff": True}, True, None),
        ({"handoff": True, "reply": None}, True, None),
        ({"handoff": True, "replies": 5}, True, EXPECTED),
        ({"handoff": False, "reply": None}, False, None),
        ({"handoff": None, "replies": []}, False, None),
        ({"handoff": False}, False, EXPECTED),
        ({"handoff": "yes", "reply": None}, False, "`handoff` is a text, not true or false"),
        ({"handoff": 1, "reply": None}, False, "`handoff` is a number, not true or false"),
    ],
)
def test_a_hand_over(answer: dict[str, Any], handoff: bool, reason: str | None):
    """Only `true` hands over, with replies or without."""
    assert read(answer) == AgentReply((), handoff, reason)


def test_a_hand_over_beside_replies():
    """The parts are taken, and the hand-over too."""
    assert read({"replies": ["um momento"], "handoff": True}) == AgentReply((Part(text="um momento"),), True)


@pytest.mark.parametrize("answer", [{}, {"ok": True}, {"reply": 5}, {"reply": ["a"]}, {"replies": "a"}, [], "oi", 5])
def test_no_answer_at_all(answer: Any):
    """Other JSON is no reply, and the log says what was expected."""
    assert read(answer) == AgentReply(not_understood=EXPECTED)


def test_more_parts_than_are_read():
    """The first parts are taken, and the log says how many there were."""
    reply = read({"replies": [str(number) for number in range(PARTS_MAX + 3)]})
    assert [part.text for part in reply.parts] == [str(number) for number in range(PARTS_MAX)]
    assert reply.not_understood == "23 parts, of which the first 20 are taken"


def test_many_problems_are_counted():
    """The line in the log stays short."""
    reply = read({"replies": [5] * PARTS_MAX})
    assert str(reply.not_understood).count("part ") == NAMED_MAX
    assert str(reply.not_understood).endswith("; and 15 more")


@given(odd_answers)
def test_no_answer_breaks_the_reader(answer: dict[str, Any]):
    """Whatever JSON comes: every part has a text or an address, and the log line is short."""
    reply = read(answer)
    assert all(part.text and part.text.strip() for part in reply.parts if part.kind == "text")
    assert all(part.url for part in reply.parts if part.kind != "text")
    assert len(reply.parts) <= PARTS_MAX
    assert len(reply.not_understood or "") < 2_000


def test_plain_text_and_nothing():
    """text/plain is one part, and an empty body is none."""
    assert read_answer("text/plain; charset=utf-8", "olá".encode()) == AgentReply((Part(text="olá"),))
    assert read_answer("application/json", b" \n") == AgentReply()


def test_half_an_emoji_costs_no_answer():
    """A flow that cuts a text inside an emoji leaves half of it, which no gateway takes: U+FFFD stands in its place."""
    answer = read_answer("application/json", rb'{"replies": ["ol\u00e1 \ud83d", "at\u00e9 j\u00e1"]}')
    assert answer == AgentReply((Part(text="olá \ufffd"), Part(text="até já")))
