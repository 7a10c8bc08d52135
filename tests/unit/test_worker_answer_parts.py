"""The stored answer of a batch: what is written is what is read."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.results import AgentReply
from buffer.models import Batch, Conversation, Reason, StoredMessage
from buffer.prints import NO_PRINT, PRINT_SIZE, print_of
from gateways.reply_text import ReplyStyle
from gateways.sending import InDoubt, Part, Rate, Sender, SendRequest
from worker.answer_parts import StoredAnswer, read_stored, stored_answer

PHOTO = "https://cdn.example.com/foto.jpg"
NO_REQUEST = SendRequest("POST", "http://x", {}, b"", "http://x")
GATEWAY = Sender(
    lambda *_: NO_REQUEST, lambda *_: InDoubt("x"), 40, Rate(0), Rate(0), media_kinds=frozenset({"image", "document"})
)
STYLE = ReplyStyle("paragraphs", 5, "whatsapp")


def batch(*payloads: dict[str, Any]) -> Batch:
    """A batch with messages of these payloads."""
    messages = tuple(StoredMessage(number, payload) for number, payload in enumerate(payloads))
    who = Conversation("telegram", "loja", "5511900000011")
    return Batch("t", "flush-1", 1, 0, Reason.QUIET, who, None, 1, 1, 1, "\n", None, messages)


def test_the_parts_and_their_prints():
    """The parts are those that are sent, each with a print; the answer as it was given is kept beside."""
    reply = AgentReply((Part(text="**oi**\n\ntudo bem?"), Part("image", None, PHOTO)), handoff=True)
    answer, prints = stored_answer(batch({"message_id": "m1", "text": "oi"}), reply, GATEWAY, STYLE)
    parts = (Part(text="*oi*"), Part(text="tudo bem?"), Part("image", None, PHOTO))
    assert read_stored(answer) == StoredAnswer(parts, {"message_id": "m1"}, False, True)
    assert prints == print_of("*oi*") + print_of("tudo bem?") + NO_PRINT
    assert orjson.loads(answer)["replies"] == ["**oi**\n\ntudo bem?", {"image": PHOTO}]


def test_the_last_message():
    """What a sender needs of the last message is kept, and nothing that the person wrote."""
    payload = {
        "message_id": "m2",
        "participant": "5511900000012",
        "thread": {"id": "7"},
        "business_connection_id": "b",
        "return_address": {"account": "3"},
        "text": "segredo",
        "media": {"url": PHOTO},
    }
    answer, _ = stored_answer(batch({"message_id": "m1"}, payload), AgentReply((Part(text="oi"),)), GATEWAY, STYLE)
    stored = read_stored(answer)
    assert stored.is_group
    assert stored.last == {
        "message_id": "m2",
        "participant": "5511900000012",
        "thread": {"id": "7"},
        "business_connection_id": "b",
        "return_address": {"account": "3"},
    }
    assert b"segredo" not in answer


def test_without_a_sender():
    """The answer is kept as the agent gave it, and has no part to send."""
    reply = AgentReply((Part(text="**a**\n\nb" * 50), Part("document", "c", PHOTO, "n.jpg")))
    answer, prints = stored_answer(batch({"message_id": "m1"}), reply, None, STYLE)
    assert (read_stored(answer).parts, prints) == (reply.parts, b"")
    assert orjson.loads(answer)["replies"][1] == {"document": PHOTO, "caption": "c", "filename": "n.jpg"}


def test_a_hand_over_without_a_word():
    """There is no part, and the hand-over is kept."""
    answer, prints = stored_answer(batch({"message_id": "m1"}), AgentReply(handoff=True), GATEWAY, STYLE)
    assert (read_stored(answer), prints) == (StoredAnswer((), {"message_id": "m1"}, False, True), b"")


def test_the_same_answer_gives_the_same_bytes():
    """An answer that is made again after a crash is the same one."""
    reply = AgentReply((Part(text="oi\n\ntudo bem?"),))
    one = batch({"message_id": "m1"})
    assert stored_answer(one, reply, GATEWAY, STYLE) == stored_answer(one, reply, GATEWAY, STYLE)


@given(st.lists(st.text(max_size=90).map(lambda text: Part(text=text)), max_size=20))
def test_there_is_one_print_for_each_part(parts: list[Part]):
    """The scripts count the parts by their prints."""
    answer, prints = stored_answer(batch({"message_id": "m1"}), AgentReply(tuple(parts)), GATEWAY, STYLE)
    assert len(prints) == PRINT_SIZE * len(read_stored(answer).parts)


@pytest.mark.parametrize("answer", [b"", b"x", b"[]", b"{}", b'{"parts": [{"nothing": 1}]}', b'{"parts": 5}'])
def test_an_answer_that_cannot_be_read(answer: bytes):
    """The error says so, without the answer."""
    with pytest.raises(ValueError, match="the stored answer cannot be read"):
        read_stored(answer)
