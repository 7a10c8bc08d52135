"""keys: every key of an installation, and the partition of a conversation."""

from __future__ import annotations

import re

import pytest

from buffer.keys import KINDS, Keys, Ref, fingerprint_of, partition_of, ref_of
from buffer.models import Conversation

ANA = Conversation("evolution", "loja", "ana")


def test_reference_is_fixed():
    """A conversation's reference is part of keys and flush_ids: it must never change between releases."""
    assert str(ref_of(ANA, 1)) == "0-8rcDEo1KhQg0Y9vk"
    assert partition_of("evolution", "loja", 16) == 10
    assert fingerprint_of("m1").hex() == "d11f79d4b490b654"


def test_no_text_reaches_into_its_neighbour():
    """Whatever characters the parts of an identity hold, two identities have two references."""
    assert ref_of(Conversation("generic", "a\0b", "c"), 1) != ref_of(Conversation("generic", "a", "b\0c"), 1)
    assert ref_of(Conversation("generic", "a1:", "b"), 1) != ref_of(Conversation("generic", "a", "1:b"), 1)


def test_reference_tells_nothing():
    """Neither the person nor our number can be read from a reference, and it is fit for an RQ job id."""
    ref = str(ref_of(ANA, 64))
    assert re.fullmatch(r"[A-Za-z0-9_-]+", ref)
    assert "ana" not in ref
    assert "loja" not in ref


def test_same_person_on_two_numbers_is_two_conversations():
    """Gateway, channel and peer all count, and their borders do too."""
    others = [
        Conversation("generic", "loja", "ana"),
        Conversation("evolution", "suporte", "ana"),
        Conversation("evolution", "loja", "bia"),
        Conversation("evolution", "lojaa", "na"),
        Conversation("evolutionl", "oja", "ana"),
    ]
    assert len({ref_of(who, 1).hash for who in [ANA, *others]}) == 6


def test_conversations_of_a_channel_share_a_partition():
    """Aliases of one person stay in one slot; channels spread over all partitions."""
    peers = {ref_of(ANA._replace(peer=f"p{i}"), 16).partition for i in range(100)}
    assert len(peers) == 1
    channels = {ref_of(ANA._replace(channel=f"c{i}"), 16).partition for i in range(500)}
    assert channels == set(range(16))


def test_keys_of_a_partition_share_a_hash_tag():
    """Everything between the first braces is the partition, for every kind of key."""
    keys = Keys("deb")
    for kind in KINDS:
        for key in (keys.of(3, kind), keys.of(3, kind, "abc")):
            assert key.startswith("deb:{p3}:")
            assert key.partition("{")[2].partition("}")[0] == "p3"


def test_unknown_kind_is_refused():
    """A key of a kind that KINDS does not describe cannot be built."""
    with pytest.raises(ValueError, match="'buffr' is not a kind of key"):
        Keys("deb").of(0, "buffr")


def test_key_names():
    """The names that operators see in redis-cli."""
    keys = Keys("deb")
    assert keys.of(0, "wake") == "deb:{p0}:wake"
    assert keys.of(12, "buffer", "abc") == "deb:{p12}:buffer:abc"
    assert keys.meta == "deb:meta"


@pytest.mark.parametrize("partition", [0, 7, 63])
def test_timer_key_leads_to_its_conversation(partition: int):
    """The expired key of an event names the conversation that may be due."""
    keys, ref = Keys("deb"), Ref(partition, "a-b_c")
    assert keys.timer_ref(keys.of(partition, "timer", ref.hash)) == ref


@pytest.mark.parametrize(
    "key",
    [
        "deb:{p0}:lock:abc",
        "other:{p0}:timer:abc",
        "deb2:{p0}:timer:abc",
        "deb:{px}:timer:abc",
        "deb:{p}:timer:abc",
        "{p0}:timer:abc",
        "timer:abc",
        "",
    ],
)
def test_other_keys_lead_nowhere(key: str):
    """Locks, other installations and foreign keys expire too; they are none of our timers."""
    assert Keys("deb").timer_ref(key) is None


@pytest.mark.parametrize("text", ["0-abc", "12-a-b_c", "3-XtZ-UrtncfOgJAbc"])
def test_reference_is_read_back(text: str):
    """A reference in text, also one whose hash has dashes, is read back as it was."""
    assert str(Ref.parse(text)) == text


@pytest.mark.parametrize("text", ["", "-", "0-", "-abc", "abc", "x-abc", "1.5-abc", "-1-abc"])
def test_what_is_no_reference(text: str):
    """Anything else is refused with a sentence that quotes it."""
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        Ref.parse(text)


def test_fingerprint_of_an_odd_id():
    """An id with a lone surrogate, as broken JSON can bring, has a fingerprint of its own."""
    assert len(fingerprint_of("\ud800")) == 8
    assert fingerprint_of("\ud800") != fingerprint_of("\ud801")
