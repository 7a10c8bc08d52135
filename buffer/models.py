"""The data of the buffer: events from the gateways, messages on their way in, and the batches of flushes."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from buffer.keys import Ref

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
"""The kind of a stored message whose payload has no `kind`."""

NO_ALBUM = bytes(4)

SUSPECT_CRASHES = 2
"""After so many crashes a batch is a suspect (lua/include/suspect.lua)."""

AppendStatus = Literal["new", "duplicate", "discarded", "revoked", "stale", "broken", "full"]
"""The result for one appended message (lua/append.lua)."""

EditResult = Literal["changed", "older", "late", "early"]
"""The result of an edit (lua/edit.lua)."""

RevokeResult = Literal["removed", "late", "early"]
"""The result of a revoke (lua/revoke.lua)."""

ClaimStatus = Literal["batch", "busy", "early", "paused", "empty", "broken"]
"""The result of a claim (lua/claim.lua). `broken`: the keys of the conversation cannot be read; try again later."""

DeliveryState = Literal["sent", "failed"]
"""The two reports that say something about a part: WhatsApp took the message (or the person has it), or it failed."""

FailureMode = Literal["retry", "unreached", "held", "dead", "release"]
"""The end of an attempt without an ack: `retry` counts it, `release` does not, `dead` makes a dead letter.

`unreached` does not count it either, because the agent never received the request. It makes a dead letter once all
attempts since the first such failure have failed for longer than the given time. `held` is the same without a call, for
an agent that fails for everyone.
"""


class Conversation(NamedTuple):
    """The identity that a burst belongs to: a person (`peer`) and our number or instance (`channel`)."""

    gateway: str
    channel: str
    peer: str


@dataclass(slots=True)
class Message:
    """One normalised inbound item, as a gateway's parser returns it.

    `message_id` is None if the gateway sent none. `dedupe_id` is the id used for dedupe, edits and revokes where it
    differs from `message_id`. `extra` holds the optional fields of the outbound message (`quoted_id`, `location`,
    `contacts`, `interactive`, `sticker`, `participant` …) in their final shape. `return_address` is what a reply needs
    beside the conversation to reach the person; the agent does not get it.
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
    return_address: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Presence:
    """The person is `composing`, `recording`, or has stopped (`paused`, `available`, `unavailable`)."""

    conversation: Conversation
    state: str
    participant: str | None = None


@dataclass(slots=True)
class Edit:
    """The person changed a message that they had sent."""

    conversation: Conversation
    target_id: str
    text: str
    timestamp_ms: int | None
    from_me: bool = False


@dataclass(slots=True)
class Revoke:
    """The person deleted a message. `part_ids` are ids that its other parts may have, if it became several messages."""

    conversation: Conversation
    target_id: str
    part_ids: tuple[str, ...] | None = None


@dataclass(slots=True, frozen=True)
class Ignored:
    """A part of a body that is no message: it calls nobody and changes nothing.

    `reason` is one of IGNORED_REASONS in `gateways/ignored.py`. `shape` is the name of the event and of its fields,
    never a value, for an authentic body that fits no known form (reason `misfit`).
    """

    reason: str
    shape: str | None = None


@dataclass(slots=True, frozen=True)
class DeliveryStatus:
    """A gateway's report on a message that was sent through one of its channels, by us or by another program.

    `message_id` is the gateway's id, `own_mark` an id or mark of ours; a report has at least one of them. `reason` says
    why a message failed, for people.
    """

    gateway: str
    channel: str
    message_id: str | None
    state: DeliveryState
    own_mark: str | None = None
    reason: str = ""


Event = Message | Presence | Edit | Revoke | DeliveryStatus | Ignored


class Reason(StrEnum):
    """The reason why a burst was closed."""

    QUIET = "quiet"
    MAX_MESSAGES = "max_messages"
    MAX_BYTES = "max_bytes"
    MAX_WAIT = "max_wait"
    KEYWORD = "keyword"
    MANUAL = "manual"
    DISABLED = "disabled"


class Outcome(StrEnum):
    """The result of a write under a lease (renew, answered, ack, fail, release).

    `later`: the parts of the answer wait, and the lease was given back (answered only). `superseded`: the person goes
    on, and the batch was taken back; only after `renew` it must still be released. `broken`: the keys of the
    conversation cannot be read, and nothing was written.
    """

    OK = "ok"
    LATER = "later"
    LOST = "lost"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    DEAD = "dead"
    BROKEN = "broken"


class PauseMode(StrEnum):
    """`hold`: messages wait for the resume. `takeover`: a human answers, and messages are recorded as discarded."""

    HOLD = "hold"
    TAKEOVER = "takeover"


class Append(NamedTuple):
    """One message on its way into the buffer, made by `stored_message.encode_message`.

    `payload` is the JSON object of the outbound message. It lacks `received_ms`, a `kind` of text, and a `timestamp_ms`
    that equals `order_ms`. `order_ms` is the gateway's timestamp, or None to order the message by its receipt. `nonce`
    identifies the request: an append repeated with the same nonce gets the same result. `alias` is another id of the
    same person. `media` is inline media in base64. `album` is four bytes that the messages of an album share.
    `is_unique_in_channel`: no other message of the channel has this id, whatever its conversation is called. `window`
    is its window (buffer/windows.py), empty for that of its route.
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
    is_unique_in_channel: bool = False
    window: bytes = b""


class Change(NamedTuple):
    """An edit: the message's fingerprint, the time of the edit, and JSON fields that replace those of the payload."""

    fingerprint: bytes
    edited_ms: int | None
    patch: bytes


class Appended(NamedTuple):
    """The result for one appended message, with the deadline and the number of messages of its burst."""

    status: AppendStatus
    deadline_ms: int
    depth: int


class Failure(NamedTuple):
    """The end of an attempt without an ack: `delay_ms` before the next attempt, `error` for people.

    `give_up_ms` limits the modes `unreached` and `held`; 0 means without a limit. `max_attempts` limits the mode
    `retry`; None stands for that of the store's settings. `agent` is the tag of the agent whose calls are held: the
    batch comes back when it works again, and not only after `delay_ms`. `fallback` is the answer that the person gets
    if the batch dies, with the prints of its parts; empty for none.
    """

    mode: FailureMode
    delay_ms: int
    error: str
    give_up_ms: int = 0
    max_attempts: int | None = None
    agent: str = ""
    fallback: bytes = b""
    fallback_prints: bytes = b""


class Due(NamedTuple):
    """A conversation that dispatch returned, with the number that makes its RQ job id unique."""

    ref: Ref
    dispatch: int


class Dispatched(NamedTuple):
    """The conversations that are due, and the time of the next entry in the wake index (None: it is empty)."""

    due: list[Due]
    next_ms: int | None
    now_ms: int


class StoredMessage(NamedTuple):
    """One message of a batch: its receipt (Redis clock), the fields of its payload, its edit, inline media, timestamp.

    An edit is the fields that replace those of the payload. `trace` is the trace context of the request, as
    config/trace_context.py stores it. It is no field of the message: the agent's body never has it.
    """

    received_ms: int
    fields: dict[str, Any]
    edit: dict[str, Any] | None = None
    media: bytes | None = None
    order_ms: int | None = None
    trace: str | None = None


class PostedAnswer(NamedTuple):
    """What an agent has posted as its late answer."""

    content_type: str
    body: bytes


class Batch(NamedTuple):
    """The messages of one flush under a lease.

    Between claims only token, attempt, failures, crashes, answer and the numbers of parts change. `skipped` counts
    messages that cannot be read; `messages` lacks them, and may be empty. `next_part` is the number of the part of the
    answer that is sent next, and `last_part` that of the last one: 0 without parts. `doubted_part` is the number of a
    part that this claim found in doubt, else 0. `memory` is what the agent's kind keeps of the conversation. `awaited`:
    the agent was to post its answer, and `posted` is that, None if it did not come in time. `supersedes` are the
    flush_ids of the batches that this one replaces, oldest first (docs/restart.md).
    """

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
    crashes: int = 0
    skipped: int = 0
    next_part: int = 0
    last_part: int = 0
    doubted_part: int = 0
    memory: bytes = b""
    awaited: bool = False
    posted: PostedAnswer | None = None
    supersedes: tuple[str, ...] = ()

    @property
    def is_suspect(self) -> bool:
        """Return True if workers died with this batch so often that it runs beside few others (SUSPECT_CRASHES)."""
        return self.crashes >= SUSPECT_CRASHES


EndedOutcome = Literal["dead", "lost", "superseded"]


class EndedBatch(NamedTuple):
    """A batch that will not be delivered, because it is dead, lost or taken back (superseded).

    `flush_id` is empty if its messages were lost before they were sealed.
    """

    outcome: EndedOutcome
    flush_id: str
    messages: int
    attempts: int
    error: str
    conversation: Conversation


class Claim(NamedTuple):
    """The result of a claim: its status, the batch with status `batch`, and the time until which a refusal holds.

    `ended` is another batch, which the claim found and ended.
    """

    status: ClaimStatus
    batch: Batch | None
    until_ms: int | None
    ended: EndedBatch | None = None
