"""reply_calls: the arguments of the scripts of replies, and the meaning of their replies; prints of texts."""

from __future__ import annotations

import pytest

from buffer import reply_calls
from buffer.keys import Ref, fingerprint_of
from buffer.models import Conversation
from buffer.prints import NO_PRINT, PRINT_SIZE, print_of
from buffer.reply_models import Ending, OwnMessage, SendLimits

ANA = Conversation("generic", "loja", "ana")
REF = Ref(3, "abcdefghijklmnop")


@pytest.mark.parametrize("text", ["olá\nana", " olá\r\nana \n", "\tolá\r\nana"])
def test_same_print(text: str):
    """Blanks around a text, and the kind of its line feeds, do not count."""
    assert print_of(text) == print_of("olá\nana") != print_of("olá ana")
    assert len(print_of(text)) == PRINT_SIZE


@pytest.mark.parametrize("text", [None, "", "  \r\n"])
def test_no_print(text: str | None):
    """A part without a text has the print that nothing matches."""
    assert print_of(text) == NO_PRINT


def test_tags():
    """Each channel has its own tag of eight digits, whatever its name."""
    channels = [("generic", "a"), ("generic", "b"), ("meta", "a"), ("met", "aa")]
    tags = {reply_calls.tag_of(*channel) for channel in channels}
    assert len(tags) == len(channels)
    assert {len(tag) for tag in tags} == {8}


def test_begin_arguments():
    """Eleven for each conversation, those of the limits at the end; an absent id of ours is empty."""
    limits = SendLimits(1_000, 2, 6_000, 3, 30_000)
    items = [(REF.hash, "1:w", 2, reply_calls.id_of(None), "0123abcd", limits)]
    args = reply_calls.begin_part_args(items * 2)
    assert args == [REF.hash, "1:w", 2, b"", "0123abcd", 1_000, 2, 6_000, 3, 30_000, 0] * 2


def test_end_arguments():
    """Ten for each conversation; the id of the gateway becomes its fingerprint."""
    ending = Ending("sent", "3-abc-1-def", "wamid.1", delay_ms=5, give_up_ms=6, reason="why")
    args = reply_calls.end_part_args([(REF.hash, "1:w", 2, "0123abcd", ending)])
    assert args == [REF.hash, "1:w", 2, "0123abcd", "sent", "3-abc-1-def", fingerprint_of("wamid.1"), 5, 6, "why"]


def test_own_message_arguments():
    """The conversation with its partition, the ids as fingerprints, the action and its pauses."""
    message = OwnMessage(ANA, "id1", None, b"p" * 8, "take", 5_000, 6_000)
    args = reply_calls.own_message_args(REF, message)
    assert args[:6] == [REF.hash, 3, *ANA, reply_calls.tag_of("generic", "loja")]
    assert args[6:] == [fingerprint_of("id1"), b"", b"p" * 8, "take", 5_000, 6_000]


def test_begin_reply():
    """A mark with its moment, or without one."""
    assert reply_calls.read_begin_part([b"wait", 1_000]) == ("wait", 1_000)
    assert reply_calls.read_begin_part([b"send", 0]) == ("send", None)


def test_doubts_reply():
    """Eight values for each part; a key that could not be read leaves them empty."""
    row = [b"3-abc-1-def.2", b"1700000000000", b"generic", b"loja", b"ana", b"lost", b"2", b"{}"]
    read = reply_calls.read_doubts([1_000, 2, *row, b"3-abc-1-def.3", b"1.7e+12", b"", b"", b"", b"", b"", b""])
    assert (read.now_ms, read.total) == (1_000, 2)
    assert read.page[0] == ("3-abc-1-def.2", 1_700_000_000_000, ANA, "lost", 2, b"{}")
    assert (read.page[1].number, read.page[1].conversation, read.page[1].answer) == (0, ("", "", ""), b"")
