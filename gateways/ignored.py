"""What is no message: the one list of the reasons, and the description of a body that fits no known form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from buffer.models import Ignored

IGNORED_REASONS: Mapping[str, str] = {
    "unknown_event": "an event that carries no messages: acks, connections, contacts, history",
    "status": "a status update, a broadcast list or a newsletter, and a mention in one",
    "call": "a call, answered or missed",
    "pin": "a message was pinned or unpinned",
    "keep": "a disappearing message was kept or not",
    "notification": "a notice of the chat itself: members, settings, security",
    "protocol": "WhatsApp's own traffic: keys, settings, history, app state",
    "encrypted": "a reaction, vote, comment or edit that the gateway could not decrypt",
    "taken_back": "a reaction or a vote was taken back",
    "album": "the header of an album: its files are messages of their own",
    "waiting": "a message that is not decrypted yet: its content follows under the same id",
    "edit_without_text": "an edit whose new text is not in the body",
    "not_delivered_here": "a message for another address, or from a bot or system account",
    "presence": "a presence of ourselves, or one that does not tell whether the person types",
    "private_note": "a note that humans of a helpdesk write to each other",
    "with_human": "a conversation that a human answers",
    "status_open": "a conversation with the status open, which CHATWOOT_STATUSES leaves out",
    "status_pending": "a conversation with the status pending, which CHATWOOT_STATUSES leaves out",
    "status_resolved": "a conversation with the status resolved, which CHATWOOT_STATUSES leaves out",
    "status_snoozed": "a conversation with the status snoozed, which CHATWOOT_STATUSES leaves out",
    "status_other": "a conversation with a status that CHATWOOT_STATUSES leaves out",
    "empty": "a message without content",
    "misfit": "an authentic body of no known form: report its shape",
}
"""Why a body, or a part of it, gives no event. Messages that the settings leave out (own messages, groups, reactions)
are not in this list: the parser returns them, and the webhook decides."""

PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z_.-]{0,39}[0-9]{0,3}")
KEYS_MAX = 30


def ignored(reason: str) -> Ignored:
    """Return the event for a part of a body that is no message."""
    return Ignored(reason)


def misfit(event: str | None, *objects: Any) -> Ignored:
    """Return the event for a body of no known form, with the names of the fields of its objects."""
    shapes = [_keys(value) for value in objects]
    return Ignored("misfit", " ".join([_plain(event) if event else "-", *shapes]))


def _keys(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(_names(value)) + "}"
    if isinstance(value, list):
        return "[" + (_keys(value[0]) if value else "") + "]"
    return type(value).__name__


def _names(names: Iterable[str]) -> list[str]:
    """Return field names in order. A name that may be a value (a phone number, a jid) is hidden."""
    return sorted({_plain(name) for name in names})[:KEYS_MAX]


def _plain(name: str) -> str:
    return name if PLAIN_NAME.fullmatch(name) else "?"
