"""Which parts of a body reach a conversation, and why the others do not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from buffer.models import Event, Ignored, Message
from config.settings import Settings


class LeftOutPart(NamedTuple):
    """A part of a body that calls nobody: the reason, and the shape of an event of no known form."""

    reason: str
    shape: str | None = None


def is_wanted(message: Message, settings: Settings) -> bool:
    """Return False for messages that we sent, and for groups and reactions unless the settings enable them."""
    return not (
        message.from_me
        or (message.is_group and not settings.groups_enabled)
        or (message.kind == "reaction" and not settings.reactions_enabled)
    )


def left_out_parts(events: Iterable[Event], settings: Settings) -> Iterator[LeftOutPart]:
    """Yield the events that are ignored, and the messages that are not wanted."""
    for event in events:
        if isinstance(event, Ignored):
            yield LeftOutPart(event.reason, event.shape)
        elif isinstance(event, Message) and not is_wanted(event, settings):
            yield LeftOutPart(_reason(event, settings))


def _reason(message: Message, settings: Settings) -> str:
    if message.from_me:
        return "own"
    return "group" if message.is_group and not settings.groups_enabled else "reaction"
