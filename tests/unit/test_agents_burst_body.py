"""body: what the agent gets, byte for byte."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from agents.burst_body import render_burst
from buffer.models import Batch, Conversation, Reason, StoredMessage

BATCH = Batch(
    token="7:w1",
    flush_id="3-Zm9vYmFyYmF6MTIz-1700000009000-0123456789ab",
    attempt=2,
    failures=1,
    reason=Reason.QUIET,
    conversation=Conversation("evolution", "loja", "5511900000001"),
    name="Ana 👋",
    opened_ms=1_700_000_000_000,
    last_ms=1_700_000_001_000,
    closed_ms=1_700_000_009_000,
    separator="\n",
    answer=None,
    messages=(
        StoredMessage(
            received_ms=1_700_000_000_000,
            fields={
                "message_id": "A1",
                "timestamp_ms": 1_699_999_999_000,
                "kind": "text",
                "text": "ação",
                "sender_name": "Ana 👋",
                "quoted_id": "Z9",
            },
        ),
        StoredMessage(
            received_ms=1_700_000_001_000,
            fields={
                "message_id": "A2",
                "kind": "image",
                "text": "olha",
                "media": {"mime": "image/png", "caption": "olha"},
            },
            edit={"text": 'olhe "isto"'},
            media=b"QUJD",
        ),
    ),
)

# These are the bytes that agents have signed, stored and compared: they may not change between two attempts of a
# batch, and so not between two versions of this program either.
BYTES = (
    '{"flush_id":"3-Zm9vYmFyYmF6MTIz-1700000009000-0123456789ab","reason":"quiet",'
    '"conversation":{"gateway":"evolution","channel":"loja","id":"5511900000001","name":"Ana 👋"},'
    '"text":"ação\\nolhe \\"isto\\"",'
    '"messages":[{"message_id":"A1","timestamp_ms":1699999999000,"received_ms":1700000000000,"kind":"text",'
    '"text":"ação","media":null,"sender_name":"Ana 👋","quoted_id":"Z9"},'
    '{"message_id":"A2","timestamp_ms":null,"received_ms":1700000001000,"kind":"image","text":"olhe \\"isto\\"",'
    '"media":{"mime":"image/png","caption":"olhe \\"isto\\"","base64":"QUJD"},"sender_name":null}],'
    '"opened_ms":1700000000000,"last_ms":1700000001000,"closed_ms":1700000009000}'
).encode()


def rendered(*messages: StoredMessage, **changes: Any) -> dict[str, Any]:
    """The body of a batch of these messages."""
    return dict(json.loads(render_burst(BATCH._replace(messages=messages, **changes))))


def stored(edit: dict[str, Any] | None = None, inline: bytes | None = None, **fields: Any) -> StoredMessage:
    """A message as it comes from the buffer."""
    return StoredMessage(1_700_000_000_000, {"message_id": "m1", "kind": "text", **fields}, edit, inline)


def test_bytes():
    """A batch is these bytes and no others."""
    assert render_burst(BATCH) == BYTES


def test_skipped_messages_are_counted():
    """The body says how many stored messages could not be read, and an ordinary body says nothing of it."""
    assert rendered(stored(), skipped=2)["skipped"] == 2
    assert "skipped" not in rendered(stored())


def test_what_it_replaces():
    """The body names the flushes that it replaces. An ordinary body has no such field."""
    body = rendered(stored(), supersedes=("0-abc-1-aa", "0-abc-2-bb"))
    assert body["supersedes"] == ["0-abc-1-aa", "0-abc-2-bb"]
    assert "supersedes" not in rendered(stored())


def test_what_belongs_to_an_attempt_is_not_in_it():
    """Another worker, attempt or stored answer renders the same bytes."""
    again = BATCH._replace(token="8:w2", attempt=9, failures=5, answer=b"{}")
    assert render_burst(again) == BYTES


def test_rendering_changes_nothing():
    """The batch is the same after it was rendered, and renders the same again."""
    media = {"caption": "velha"}
    edited = stored({"text": "nova"}, text="velha", media=dict(media))
    batch = BATCH._replace(messages=(edited, stored(inline=b"QUJD", text="velha", media=media)))
    before = deepcopy(batch)
    assert render_burst(batch) == render_burst(batch)
    assert batch == before


def test_unknown_is_null():
    """A message has its seven fields always, null when unknown; fields of its kind only when the gateway gave them."""
    [message] = rendered(stored())["messages"]
    assert list(message) == ["message_id", "timestamp_ms", "received_ms", "kind", "text", "media", "sender_name"]
    assert [name for name, value in message.items() if value is None] == [
        "timestamp_ms", "text", "media", "sender_name"
    ]  # fmt: skip
    assert rendered(stored(), name=None)["conversation"]["name"] is None


def test_a_trace_context_changes_no_byte():
    """It is for headers only: the body is the same with and without one."""
    assert rendered(stored()._replace(trace="00-a-b-01 c=d")) == rendered(stored())


def test_the_return_address_is_not_for_the_agent():
    """What a reply needs beside the conversation is stored with the message, and is in no body."""
    assert rendered(stored(return_address={"account": "1"})) == rendered(stored())


def test_order_is_the_batches():
    """Messages stand in the order of the batch, which the sealing has fixed; rendering sorts nothing."""
    messages = [stored(message_id=f"m{n}", timestamp_ms=9 - n, text=str(n)) for n in (2, 0, 1)]
    body = rendered(*messages)
    assert [message["message_id"] for message in body["messages"]] == ["m2", "m0", "m1"]
    assert body["text"] == "2\n0\n1"


@pytest.mark.parametrize("separator", ["\n", " ", "", " · "])
def test_separator(separator: str):
    """The texts are joined with the separator of the batch; messages without a text leave no gap."""
    messages = (stored(text="um"), stored(kind="audio"), stored(text=""), stored(text="dois"))
    assert rendered(*messages, separator=separator)["text"] == f"um{separator}dois"


def test_no_text_at_all():
    """A burst of pictures without captions has an empty text, not null."""
    assert rendered(stored(kind="image"))["text"] == ""


def test_edit():
    """An edit replaces the text of its message, in the messages and in the joined text, and nothing else of it."""
    body = rendered(stored({"text": "novo"}, text="velho", quoted_id="q"), stored(text="outro"))
    assert [message["text"] for message in body["messages"]] == ["novo", "outro"]
    assert (body["text"], body["messages"][0]["quoted_id"]) == ("novo\noutro", "q")
    assert body["messages"][0]["media"] is None


def test_edit_of_a_caption():
    """The edit of a captioned picture is one of its caption."""
    media = {"url": "http://gateway/1", "caption": "velha"}
    [message] = rendered(stored({"text": "nova"}, kind="image", text="velha", media=media))["messages"]
    assert (message["text"], message["media"]) == ("nova", {"url": "http://gateway/1", "caption": "nova"})


@pytest.mark.parametrize("media", [{"url": "http://gateway/1"}, {"url": "http://gateway/1", "caption": None}])
def test_edit_of_media_without_a_caption(media: dict[str, Any]):
    """Where there was no caption the edit makes none: the text has it."""
    [message] = rendered(stored({"text": "nova"}, kind="audio", text="transcrita", media=media))["messages"]
    assert (message["text"], message["media"]) == ("nova", media)


@pytest.mark.parametrize("known", [{}, {"mime": "audio/ogg", "url": None}])
def test_inline_media_is_put_back(known: dict[str, Any]):
    """The base64 that lay beside the buffer is in the message's media again, whatever else is known of it."""
    with_it, without = rendered(stored(inline=b"QUJD", media=known), stored(media=known))["messages"]
    assert (with_it["media"], without["media"]) == (known | {"base64": "QUJD"}, known)
