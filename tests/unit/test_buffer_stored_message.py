"""stored_message: a message on its way into the buffer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from buffer.keys import fingerprint_of
from buffer.models import Append, Change, Conversation, Edit, Message
from buffer.stored_message import ENTRY_HEADER_SIZE, TRACE, decode_messages, encode_edit, encode_message

ANA = Conversation("evolution", "loja", "ana")


def packed(keywords: tuple[str, ...] = (), inline_max: int = 100, **fields: Any) -> Append:
    values = {"message_id": "m1", "timestamp_ms": None, "kind": "text", **fields}
    return encode_message(Message(ANA, **values), b"nnnn", keywords, inline_max)


def payload(**fields: Any) -> dict[str, Any]:
    return dict(json.loads(packed(**fields).payload))


def test_what_is_stored():
    """The payload is the outbound message without empty fields and those that Redis has elsewhere (time, identity)."""
    assert payload(text="oi", timestamp_ms=1_700_000_000_123, sender_name="Ana", extra={"quoted_id": "q"}) == {
        "message_id": "m1",
        "text": "oi",
        "sender_name": "Ana",
        "quoted_id": "q",
    }


def test_the_return_address_is_stored():
    """It is in the payload of a message that has one, and of no other."""
    assert payload(return_address={"account": "1"})["return_address"] == {"account": "1"}
    assert "return_address" not in payload()


def test_the_trace_context_is_stored():
    """It is in the payload of a message whose request brought one, and is no field of the message that is read."""
    message = Message(ANA, "m1", None, "text", text="oi")
    append = encode_message(message, b"nnnn", (), 100, "00-a-b-01 c=d")
    assert json.loads(append.payload) == {"message_id": "m1", "text": "oi", TRACE: "00-a-b-01 c=d"}
    assert TRACE not in payload()
    header = bytes(ENTRY_HEADER_SIZE)
    (stored,) = decode_messages([header + append.payload], [b""])
    assert (stored.trace, stored.fields) == ("00-a-b-01 c=d", {"message_id": "m1", "text": "oi"})
    (plain,) = decode_messages([header + b'{"message_id":"m1"}'], [b""])
    assert plain.trace is None


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
    assert json.loads(append.payload).get("timestamp_ms", append.order_ms) == timestamp_ms


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


def test_media_that_is_only_inline():
    """A picture of which nothing is known but its bytes still has a `media` to put them back into."""
    append = packed(kind="image", media={"base64": "QUJD"})
    assert (json.loads(append.payload)["media"], append.media) == ({}, b"QUJD")


@pytest.mark.parametrize("empty", ["", None])
def test_inline_media_without_content(empty: str | None):
    """An empty base64 is no media: nothing is stored in key `media`, and nothing is marked as omitted."""
    append = packed(kind="image", media={"mime": "image/png", "base64": empty}, inline_max=0)
    assert (json.loads(append.payload)["media"], append.media) == ({"mime": "image/png"}, b"")


def test_no_inline_media_wanted():
    """With MEDIA_INLINE_MAX=0 all inline media is omitted."""
    append = packed(kind="image", media={"base64": "QQ=="}, inline_max=0)
    assert (json.loads(append.payload)["media"], append.media) == ({"omitted": True}, b"")


def test_alias():
    """The alias is a conversation of the same gateway and channel; without one there is none."""
    assert packed(conversation_alias="1@lid").alias == ANA._replace(peer="1@lid")
    assert packed().alias is None
    assert packed(conversation_alias="").alias is None


def test_parts_of_an_album_share_four_bytes():
    """Parts of one album are marked alike, others otherwise; messages without an album have zeros."""
    first, second, other = (packed(extra={"album_id": album_id}) for album_id in ("a", "a", "b"))
    assert first.album == second.album != other.album
    assert {len(append.album) for append in (first, other)} == {4}
    assert packed().album == packed(extra={"album_id": None}).album == bytes(4) != first.album
    assert json.loads(first.payload)["album_id"] == "a", "the agent sees it too"


def test_album_with_a_number():
    """An album that the gateway names by a number is one too."""
    assert packed(extra={"album_id": 7}).album == packed(extra={"album_id": "7"}).album != bytes(4)


def test_dedupe_id():
    """The fingerprint is of the dedupe_id if there is one; the agent sees the message_id."""
    append = packed(message_id="false_1@lid_A1", dedupe_id="A1")
    assert append.fingerprint == fingerprint_of("A1") == encode_edit(Edit(ANA, "A1", "novo", None)).fingerprint
    assert json.loads(append.payload)["message_id"] == "false_1@lid_A1"


def test_gateway_without_ids_sends_the_same_again():
    """Without an id the content is one, if it has a time: sent again it is the same message, otherwise another."""
    fields = {"message_id": None, "timestamp_ms": 5, "text": "oi"}
    assert packed(**fields).fingerprint == packed(**fields).fingerprint
    for changed in ({"timestamp_ms": 6}, {"text": "olá"}, {"kind": "image"}, {"extra": {"quoted_id": "q"}}):
        assert packed(**fields | changed).fingerprint != packed(**fields).fingerprint


@pytest.mark.parametrize(("timestamp_ms", "edited_ms"), [(None, None), (-1, None), (10**13, None), (7, 7)])
def test_edit(timestamp_ms: int | None, edited_ms: int | None):
    """An edit replaces the text of its message; a time that would not sort is that of its receipt."""
    change = encode_edit(Edit(ANA, "m1", "linha\num", timestamp_ms))
    assert change == Change(fingerprint_of("m1"), edited_ms, b'{"text":"linha\\num"}')


@pytest.mark.parametrize("text", ["um\ndois", "\r\n\u2028\0", "ação 👍"])
def test_no_raw_line_feed(text: str):
    """A line feed separates a message from its edit in Redis, so neither contains a raw one."""
    append = packed(text=text, sender_name=text, extra={"quoted_id": text}, media={"caption": text})
    assert b"\n" not in append.payload + encode_edit(Edit(ANA, "m1", text, None)).patch
    assert json.loads(append.payload)["text"] == text
