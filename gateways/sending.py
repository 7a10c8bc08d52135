"""The types of sending: a part of an answer, the request that carries it to the person, and the gateway's response.

Each gateway has one `Sender`. Its functions are pure: the worker makes the request (worker/replies.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from buffer.models import Conversation

PartKind = Literal["text", "image", "audio", "video", "document"]


class Part(NamedTuple):
    """One thing to send to the person. `text` is the text, or the caption of a file. `url` is the file's address."""

    kind: PartKind = "text"
    text: str | None = None
    url: str | None = None
    filename: str | None = None


def is_link(url: str) -> bool:
    """Return True for a complete http or https address without white space: what a gateway can fetch a file from."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(host) and not any(map(str.isspace, url))


class Target(NamedTuple):
    """Where a channel's replies are sent, and with which secrets.

    `account` is the second name or secret of gateways that have two: Twilio's account SID, Z-API's instance token.
    `idempotent`: the receiver knows a repeated request, so a part in doubt is sent again. `callback_url` is the address
    of this service (PUBLIC_BASE_URL) without a slash at its end, for gateways that report to an address in the request.
    """

    url: str
    secret: str
    account: str = ""
    idempotent: bool = False
    callback_url: str = ""


class ReplyTo(NamedTuple):
    """The person and the last message of the burst that is answered.

    `conversation.peer` is the address of that message, unchanged. `last` has the fields of that message as the agent
    reads them (`message_id`, `participant`, `thread` …), and its `return_address`. `is_group` asks for a quote of the
    message where the gateway can.
    """

    conversation: Conversation
    last: Mapping[str, Any]
    is_group: bool = False


class PartId(NamedTuple):
    """The name of a part: its flush, and its number from 1 to `of`."""

    flush_id: str
    number: int
    of: int = 1

    def __str__(self) -> str:
        return f"{self.flush_id}.{self.number}"


class SendRequest(NamedTuple):
    """One HTTP request to a gateway. `url` may hold a secret: only `masked_url` may be shown."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    masked_url: str


class SendResponse(NamedTuple):
    """The response of a gateway. `headers` have names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Sent(NamedTuple):
    """The gateway took the part. `message_id` is its id there, None if the gateway did not say."""

    message_id: str | None


class Later(NamedTuple):
    """The request surely had no effect and may be repeated, after `after_s` if the gateway said so.

    `whole_channel`: the limit is that of the channel, not of this person. `strikes`: after so many in a row, without a
    `Sent` between them, the channel is misconfigured; 0 is never. `growth`: each further attempt waits so many times
    longer.
    """

    reason: str
    after_s: float | None = None
    whole_channel: bool = False
    strikes: int = 0
    growth: float = 1.0


class Refused(NamedTuple):
    """The gateway does not send this text to this person. The rest of the answer becomes a dead letter."""

    reason: str


class Misconfigured(NamedTuple):
    """Nothing can be sent through this channel until an operator mends it: credentials, address, lost connection."""

    reason: str


class InDoubt(NamedTuple):
    """The part may have been sent or not. `strikes` as in `Later`, counted for different people."""

    reason: str
    strikes: int = 0


class Again(NamedTuple):
    """The request had no effect, and the worker asks `request` for another at once.

    `reply_to` replaces the one of the first request: without the quote, or with another chat id. `as_link`: the file of
    the part goes as text with its address.
    """

    reason: str
    reply_to: ReplyTo | None = None
    as_link: bool = False


SendResult = Sent | Later | Refused | Misconfigured | InDoubt | Again


class Rate(NamedTuple):
    """A token bucket: one token each `interval_ms`, at most `burst` tokens. `interval_ms` 0 is no limit."""

    interval_ms: int
    burst: int = 1


@dataclass(slots=True, frozen=True)
class Sender:
    """How one gateway sends. docs/sending.md shows the same as a table."""

    request: Callable[[Target, ReplyTo, Part, PartId], SendRequest]
    """Returns the request for one part. The same part gives the same bytes."""

    read: Callable[[SendResponse, ReplyTo], SendResult]
    """Returns what the response means for the part."""

    text_max: int
    """Longest text of one part, in the gateway's own units (`text_size`)."""

    channel_rate: Rate
    person_rate: Rate

    group_rate: Rate | None = None
    """The rate of a group, where it is not that of a person."""

    text_size: Callable[[str], int] = len
    """Returns the size of a text in the units of `text_max`: characters, or UTF-16 units for Telegram."""

    own_id: Callable[[PartId], str] | None = None
    """Returns the id or mark of ours that comes back in an echo or a status. None if the gateway takes none."""

    caption_max: int = 1024
    """Longest caption of a file, in the units of `text_max`. A longer one goes as a text after the file."""

    media_kinds: frozenset[PartKind] = frozenset()
    """The kinds of files that `request` can send. Others go as text with the link (gateways/reply_text.py)."""

    caption_kinds: frozenset[PartKind] = frozenset({"image", "video", "document"})
    """The kinds of files that take a caption. The caption of another file is a text part of its own."""

    typing: Callable[[Target, ReplyTo], SendRequest | None] | None = None
    """Returns the request that shows the person that we type. None if there is none."""

    typing_lasts_s: float = 0.0
    """After this time the indicator is asked for again. 0: it stays until the reply."""

    stop_typing: Callable[[Target, ReplyTo], SendRequest | None] | None = None
    """Returns the request that ends the indicator. None if it ends by itself soon."""

    read_receipt: Callable[[Target, ReplyTo], SendRequest | None] | None = None
    """Returns the request that marks the last message as read. None if there is none."""

    hand_over: Callable[[Target, ReplyTo], SendRequest | None] | None = None
    """Returns the request that gives the conversation to a human of a helpdesk. None if the gateway has none."""

    probe: Callable[[Target, Conversation], SendRequest] | None = None
    """Returns a GET request that tells whether the channel is connected, for `debouncer check`."""

    read_probe: Callable[[SendResponse], str | None] | None = None
    """Returns None if the channel is connected, else what is wrong in one sentence."""
