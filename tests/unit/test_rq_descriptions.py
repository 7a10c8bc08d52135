"""The descriptions of jobs: enough to recognise a person, and never a full number."""

from __future__ import annotations

import pytest

from buffer.keys import Ref
from buffer.models import Conversation
from buffer.operator_models import DeadLetter
from buffer.upcoming import Upcoming
from worker.rq.descriptions import batch_text, letter_reason, pending_text, who_text

ANA = Conversation("evolution", "loja", "5511900004321")
REF = Ref(0, "a" * 16)


@pytest.mark.parametrize(
    ("gateway", "peer", "shown"),
    [
        ("evolution", "5511900004321", "+55 11 •••• 4321"),
        ("twilio", "+5511900004321", "+55 11 •••• 4321"),
        ("generic", "551190004321", "+55 11 •••• 4321"),
        ("meta", "351900004321", "+35 •••• 4321"),
        ("waha", "123456789012345@lid", "1234*************id"),
        ("telegram", "7190000432", "7190****32"),
        ("generic", "55119", "*****"),
        ("generic", "ana-maria", "ana-***ia"),
    ],
)
def test_masks(gateway: str, peer: str, shown: str) -> None:
    """A phone number shows its country, the area code in Brazil, and four digits; any other id its two ends."""
    assert who_text(Conversation(gateway, "loja", peer)) == f"{shown} · {gateway}/loja"


def test_a_channel_that_is_a_number() -> None:
    """Some gateways name a channel by its number, which is masked too."""
    assert who_text(Conversation("twilio", "5511900005678", "ana")) == "*** · twilio/5511*******78"


@pytest.mark.parametrize(("count", "shown"), [(1, "1 message"), (3, "3 messages")])
def test_batch(count: int, shown: str) -> None:
    """How many messages of whom."""
    assert batch_text(count, ANA) == f"{shown} · +55 11 •••• 4321 · evolution/loja"


def test_pending() -> None:
    """The due time ends the description; a state that is not the usual one stands before it."""
    item = Upcoming(1_700_000_000_000, REF, "open", 3, 1, ANA)
    assert pending_text(item) == f"{batch_text(3, ANA)} · due 2023-11-14 22:13:20 UTC"
    assert pending_text(item._replace(state="retry")) == f"{batch_text(3, ANA)} · retry · due 2023-11-14 22:13:20 UTC"


def test_reason_of_a_dead_letter() -> None:
    """The error comes first and is masked; the rest says what the buttons of a dashboard do."""
    flush_id = f"{REF}-1-0123456789ab"
    letter = DeadLetter(flush_id, 1, None, ANA, "refused for 5511900004321", 3, 8)
    reason = letter_reason(letter)
    assert reason.splitlines()[0] == "refused for ***"
    assert f"Dead letter {flush_id}: {batch_text(3, ANA)}, not delivered after 8 attempts." in reason
    assert "5511900004321" not in reason
    assert "Its messages are gone" in letter_reason(letter._replace(messages=0))
