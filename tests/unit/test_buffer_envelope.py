"""envelope: a message on its way into the buffer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from buffer.envelope import pack
from buffer.keys import fingerprint_of
from buffer.models import Append, Conversation, Message

ANA = Conversation("evolution", "loja", "ana")


def packed(keywords: tuple[str, ...] = (), inline_max: int = 100, **fields: Any) -> Append:
    values = {"message_id": "m1", "timestamp_ms": None, "kind": "text", **fields}
    return pack(Message(ANA, **values), b"nnnn", keywords, inline_max)


def payload(**fields: Any) -> dict[str, Any]:
    return dict(json.loads(packed(**fields).payload))


def test_what_is_stored():
    """The outbound message as it will be sent, without what the conversation knows and without empty fields."""
    assert payload(text="oi", timestamp_ms=1_700_000_000_123, sender_name="Ana", extra={"quoted_id": "q"}) == {
        "message_id": "m1",
        "timestamp_ms": 1_700_000_000_123,
        "kind": "text",
        "text": "oi",
        "sender_name": "Ana",
        "quoted_id": "q",
    }


def test_identity():
    """The fingerprint is that of the id, the nonce is the request's."""
    append = packed()
    assert (append.conversation, append.fingerprint, append.nonce) == (ANA, fingerprint_of("m1"), b"nnnn")


def test_without_an_id_every_message_is_new():
    """Two messages without an id get two ids of our own, which the agent sees."""
    first, second = packed(message_id=None), packed(message_id=None)
    assert first.fingerprint != second.fingerprint
    own = json.loads(first.payload)["message_id"]
    assert first.fingerprint == fingerprint_of(own)


@pytest.mark.parametrize(
    ("timestamp_ms", "order_ms"),
    [(None, None), (-1, None), (10**13, None), (0, 0), (10**13 - 1, 10**13 - 1), (1_700_000_000_123,) * 2],
)
def test_timestamps_that_would_not_sort(timestamp_ms: int | None, order_ms: int | None):
    """A timestamp outside 13 digits does not decide the order, but reaches the agent as it came."""
    append = packed(timestamp_ms=timestamp_ms)
    assert append.order_ms == order_ms
    assert json.loads(append.payload).get("timestamp_ms") == timestamp_ms


@pytest.mark.parametrize("text", ["sair", " SAIR ", "Sair\n"])
def test_keyword(text: str):
    """A message that is exactly a keyword, whatever its case and the space around it, flushes."""
    assert packed(("sair", "fim"), text=text).keyword


@pytest.mark.parametrize("text", ["sair agora", "", None, "sai"])
def test_no_keyword(text: str | None):
    """A keyword inside a sentence is no keyword, nor is an empty message."""
    assert not packed(("sair",), text=text).keyword


def test_no_keywords_configured():
    """Without keywords nothing is one, not even an empty text."""
    assert not packed((), text="").keyword


def test_group_has_no_sender_as_its_name():
    """The name of a conversation is the person's, but never that of one member of a group."""
    assert packed(sender_name="Ana").name == "Ana"
    assert packed(sender_name="Ana", is_group=True).name is None


def test_inline_media_up_to_the_limit():
    """Inline media goes along up to MEDIA_INLINE_MAX; above, it is marked as omitted and the rest stays."""
    media = {"mime": "image/png", "base64": "x" * 100}
    assert payload(kind="image", media=media)["media"] == {"mime": "image/png"}
    assert packed(kind="image", media=media).media == b"x" * 100, "it lies beside the buffer"
    media["base64"] += "x"
    assert packed(kind="image", media=media).media == b""
    assert payload(kind="image", media=media)["media"] == {"mime": "image/png", "omitted": True}
    assert media["base64"], "the parser's own object stays as it was"


def test_media_by_address():
    """Media that the gateway serves itself is never omitted."""
    media = {"mime": "image/png", "url": "http://gateway/" + "x" * 1_000}
    assert payload(kind="image", media=media)["media"] == media
