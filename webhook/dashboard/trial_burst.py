"""The test burst: three messages of a made-up person, stored as any gateway's messages are."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence

from buffer.models import Conversation, Event, Message
from webhook.responses import Counts, HTTPError

GATEWAY, CHANNEL = "generic", "test"
NAME = "Teste"
PERSON = re.compile(r"5511900000\d{3}", re.ASCII)
"""The numbers of made-up people."""

TEXTS = ("oi", "tudo bem?", "isto é um teste da página")
Store = Callable[[Sequence[Event]], Awaitable[Counts]]
"""Stores events as those of a webhook. webhook/ingest.py has it."""


def trial_message(person: str, number: int) -> Message:
    """Return one of the three messages. Raises HTTPError (400) for another person or number."""
    if not PERSON.fullmatch(person) or not 1 <= number <= len(TEXTS):
        raise HTTPError(400, "bad_request", "person: 5511900000 and three digits; number: 1, 2 or 3")
    conversation = Conversation(GATEWAY, CHANNEL, person)
    return Message(conversation, None, None, "text", TEXTS[number - 1], sender_name=NAME)


async def send_trial_message(store: Store, person: str, number: int) -> int:
    """Store one of the messages. Returns how many were accepted."""
    return (await store([trial_message(person, number)])).accepted
