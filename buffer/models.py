"""The nouns of the buffer: what comes in (messages and the events around them) and what a flush carries."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

KINDS = frozenset(
    {
        "text",
        "image",
        "audio",
        "video",
        "document",
        "location",
        "contact",
        "reaction",
        "interactive",
        "unknown",
    }
)

PLAIN_KIND = "text"
"""The kind of a stored message that names none."""

NO_ALBUM = bytes(4)


class Conversation(NamedTuple):
    """Who talks to which of our numbers: the identity a burst belongs to."""

    gateway: str
    channel: str
    peer: str


@dataclass(slots=True)
class Message:
    """One normalised inbound item, as a gateway's parser returns it.

    `message_id` is None when the gateway sent none; `dedupe_id` is by what it is told from others, edited and revoked,
    when that is not the message_id itself. `extra` holds the optional fields of the outbound message
    (`quoted_id`, `location`, `contacts`, `interactive`, `sticker`, `participant` …), already in their final shape.
    """

    conversation: Conversation
    message_id: str | None
    timestamp_ms: int | None
    kind: str
    text: str | None = None
    media: dict[str, Any] | None = None
    sender_name: str | None = None
    from_me: bool = False
    is_group: bool = False
    conversation_alias: str | None = None
    dedupe_id: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Presence:
    """The person is `composing`, `recording`, or has stopped (`paused`, `available`, `unavailable`)."""

    conversation: Conversation
    state: str
    participant: str | None = None


@dataclass(slots=True)
class Edit:
    """The person changed a message they had sent."""

    conversation: Conversation
    target_id: str
    text: str
    timestamp_ms: int | None
    from_me: bool = False


@dataclass(slots=True)
class Revoke:
    """The person deleted a message they had sent."""

    conversation: Conversation
    target_id: str


Event = Message | Presence | Edit | Revoke


class Reason(StrEnum):
    """Why a burst was closed."""

    QUIET = "quiet"
    MAX_MESSAGES = "max_messages"
    MAX_BYTES = "max_bytes"
    MAX_WAIT = "max_wait"
    KEYWORD = "keyword"
    MANUAL = "manual"
    DISABLED = "disabled"


class Outcome(StrEnum):
    """What a fenced write (renew, answered, ack, fail, release) came to."""

    OK = "ok"
    LOST = "lost"
    CANCELLED = "cancelled"
    DEAD = "dead"


class PauseMode(StrEnum):
    """`hold`: messages wait for the resume. `takeover`: a human answers, messages are recorded as discarded."""

    HOLD = "hold"
    TAKEOVER = "takeover"


class Append(NamedTuple):
    """One message on its way into the buffer: its identity, its dedupe fingerprint and its stored form.

    `payload` is the JSON object of the outbound message without `received_ms`, a `kind` of text, and a `timestamp_ms`
    that is `order_ms`: the gateway's timestamp, or None to order by the time of receipt. `nonce` names the request: a
    resent append with the same nonce answers as the first time. `alias` is another name of the same person, `media`
    inline media in base64, `album` four bytes that its parts share.
    """

    conversation: Conversation
    fingerprint: bytes
    nonce: bytes
    payload: bytes
    order_ms: int | None = None
    name: str | None = None
    keyword: bool = False
    alias: Conversation | None = None
    media: bytes = b""
    album: bytes = NO_ALBUM


class Change(NamedTuple):
    """An edit: which message, when, and the JSON object of fields that replace those of its payload."""

    fingerprint: bytes
    edited_ms: int | None
    patch: bytes


class Appended(NamedTuple):
    """What became of one appended message; the statuses stand in lua/append.lua."""

    status: str
    deadline_ms: int
    depth: int


class Failure(NamedTuple):
    """How an attempt ended without an ack: `retry` counts, `release` (a hand-back) does not, `dead` is final."""

    mode: str
    delay_ms: int
    error: str


class Due(NamedTuple):
    """A conversation handed out by dispatch, with the number that makes its RQ job id unique."""

    ref: str
    dispatch: int


class Dispatched(NamedTuple):
    """What is due now, and when the next entry of the wake index is (None: the index is empty)."""

    due: list[Due]
    next_ms: int | None
    now_ms: int


class StoredMessage(NamedTuple):
    """One message of a batch: when it was received (Redis clock), its JSON payload, its edit, inline media and time."""

    received_ms: int
    payload: bytes
    edit: bytes | None = None
    media: bytes | None = None
    order_ms: int | None = None


class Batch(NamedTuple):
    """The messages of one flush under a lease; everything but `token`, `attempt` and `answer` is fixed."""

    ref: str
    token: str
    flush_id: str
    attempt: int
    failures: int
    reason: Reason
    conversation: Conversation
    name: str | None
    opened_ms: int
    last_ms: int
    closed_ms: int
    separator: str
    answer: bytes | None
    messages: tuple[StoredMessage, ...]


class Claim(NamedTuple):
    """The answer to a claim: a status (`batch`, `busy`, `early`, `empty`, `paused`) and the batch, if any."""

    status: str
    batch: Batch | None
    until_ms: int | None
