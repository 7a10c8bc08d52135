"""script_calls: the arguments of the scripts, and the meaning of their replies."""

from __future__ import annotations

import struct

import pytest

from buffer import (
    auto_windows,
    held_agent_calls,
    late_answer_calls,
    operator_calls,
    person_calls,
    reply_calls,
    script_calls,
    scripts,
    tallies,
    upcoming,
)
from buffer.keys import Ref
from buffer.models import Append, Claim, Conversation
from buffer.rules import IDS_MAX, append_rules
from buffer.stored_message import ENTRY_HEADER, KEYWORD, MEDIA, TIMED

REF = Ref(3, "abcdefghijklmnop")
ANA = Conversation("generic", "loja", "ana")


SEAMS = (
    *(script_calls, operator_calls, reply_calls, person_calls, held_agent_calls, late_answer_calls),
    *(auto_windows, upcoming, tallies),
)


@pytest.mark.parametrize("verb", scripts.VERBS)
def test_every_verb_has_both_halves(verb: str):
    """Each verb has a function for its arguments and one for its reply, in one module."""
    [seam] = [seam for seam in SEAMS if hasattr(seam, f"{verb}_args")]
    assert callable(getattr(seam, f"read_{verb}"))


def test_every_half_has_a_verb():
    """No function for arguments or a reply is left of a verb that is gone."""
    own = {
        name
        for seam in SEAMS
        for name, value in vars(seam).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == seam.__name__
    }
    assert {name.removesuffix("_args") for name in own if name.endswith("_args")} == set(scripts.VERBS)
    assert {name.removeprefix("read_") for name in own if name.startswith("read_")} == set(scripts.VERBS)


def test_append_arguments(make_settings):
    """Settings once, then one record for each message, laid out as the header says."""
    settings = make_settings(message_buffer_enabled=False)
    message = Append(ANA, b"f" * 8, b"nnnn", b"{}", order_ms=None, name="Zé", keyword=True)
    args = script_calls.append_args(3, [(REF, None, message)], append_rules(settings))
    assert args[:9] == [3, 60_000, 20, 262_144, 604_800_000, b"\1" + bytes(9) + b"\xff" * 12, 0, IDS_MAX, 10_000]
    gateway, channel, peer = ANA
    texts = [f"{gateway}:", channel, peer, "Zé", ""]
    sizes = [len(text.encode()) for text in texts]
    lengths = struct.pack(">4I", *sizes[2:], sizes[0]) + (sizes[0] + sizes[1]).to_bytes(3, "big")
    head = REF.hash.encode() + b" " * 16 + b"nnnn" + bytes(6) + b"f" * 8 + bytes(4)
    window = bytes(4) + b"\x1f\x40\1"
    body = bytes([KEYWORD]) + bytes(4) + b"f" * 8 + b"{}"
    assert args[9:] == [head + window + lengths + "".join(texts).encode() + body]


def test_alias_media_and_album_are_sent(make_settings):
    """The alias, the inline media and the album have their places in the record."""
    message = Append(ANA, b"f" * 8, b"nnnn", b"{}", alias=ANA, media=b"QUJD", album=b"abcd")
    [record] = script_calls.append_args(3, [(REF, Ref(3, "p" * 16), message)], append_rules(make_settings()))[9:]
    assert record[16:32] == b"p" * 16
    assert record.endswith(b"QUJD" + bytes([MEDIA]) + b"abcd" + b"f" * 8 + b"{}")


def test_tag_of_the_channel(make_settings):
    """A message whose id is unique in its channel is sent with a tag that only this channel has."""

    def tag(channel: str, is_unique: bool) -> bytes:
        message = Append(ANA._replace(channel=channel), b"f" * 8, b"n" * 4, b"{}", is_unique_in_channel=is_unique)
        return script_calls.append_args(3, [(REF, None, message)], append_rules(make_settings()))[9][50:54]

    assert tag("loja", False) == bytes(4)
    assert tag("loja", True) == tag("loja", True) != tag("other", True) != bytes(4)


def test_order_of_zero_is_an_order(make_settings):
    """A timestamp of 0 is sent as such, not as `none given`."""
    message = Append(ANA, b"f" * 8, b"nnnn", b"{}", order_ms=0)
    [record] = script_calls.append_args(3, [(REF, None, message)], append_rules(make_settings()))[9:]
    assert record[36:42] == bytes(6)
    assert record.endswith(bytes([TIMED]) + bytes(4) + b"f" * 8 + b"{}")


def test_claim_arguments_with_the_buffer_off(make_settings):
    """With the buffer off a batch holds one message; a flag says whether a part in doubt is sent again."""
    claims = [(REF.hash, "w1"), ("b" * 16, "w2")]
    args = script_calls.claim_args(claims, make_settings(message_buffer_enabled=False))
    assert (args[1], args[6:]) == (1, ["1", "", REF.hash, "w1", "b" * 16, "w2"])
    args = script_calls.claim_args(claims, make_settings(reply_in_doubt="resend"))
    assert (args[1], args[6:]) == (20, ["", "1", REF.hash, "w1", "b" * 16, "w2"])


def test_dispatch_reply():
    """Each conversation with its own number; the next moment may be missing, or be a score in a float's notation."""
    read = script_calls.read_dispatch(3, [1_000, b"1700000000000", 7, b"abc", b"def"])
    assert read.due == [(Ref(3, "abc"), 7), (Ref(3, "def"), 8)]
    assert (read.next_ms, read.now_ms) == (1_700_000_000_000, 1_000)
    assert script_calls.read_dispatch(3, [1_000, b"", 1]) == ([], None, 1_000)
    assert script_calls.read_dispatch(3, [1_000, b"1.7e+12", 1]).next_ms == 1_700_000_000_000


def test_claim_reply_without_a_batch():
    """A status with its moment, or without one."""
    assert script_calls.read_claim([b"busy", 1_000]) == Claim("busy", None, 1_000)
    assert script_calls.read_claim([b"empty", 0]) == Claim("empty", None, None)


def test_claim_reply_with_text_that_is_no_utf8():
    """A name that was cut in the middle of a character does not break a delivery."""
    entry = ENTRY_HEADER.pack(0, 5, 0, 6, TIMED, bytes(4), b"f" * 8) + b"{}"
    reply = [
        b"batch",
        b"1:w",
        b"id",
        1,
        0,
        0,
        b"quiet",
        9,
        b"\n",
        b"",
        0,
        0,
        0,
        b"generic",
        b"loja",
        b"ana",
        b"\xc3",
        b"",
        b"",
        b"",
        b"",
        b"",
        b"",
        b"",
        entry,
        b"",
    ]
    batch = script_calls.read_claim(reply).batch
    assert batch is not None
    assert batch.name == "\ufffd"
    assert [(m.order_ms, m.received_ms, m.fields) for m in batch.messages] == [(5, 6, {})]
