"""The data of replies: the state of the parts of an answer, and the results of the scripts that change it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from buffer.models import Conversation

PartMark = Literal["send", "wait", "held", "lost", "cancelled", "superseded", "broken"]
"""The result of begin_part. `send`: the part is marked `sending`, and its request may leave now.

`wait`: a rate limit or an operator's pause; `held`: the channel is misconfigured. In both cases the conversation has
given its lease back, and the wake index brings it back later. `cancelled`: a takeover or a discard; nothing more is
sent. `superseded`: the person goes on writing, and the batch was taken back.
"""

PartEnd = Literal["sent", "later", "limited", "refused", "misconfigured", "in_doubt"]
"""How the sending of a part ended, as the worker reports it. `limited` is `later` for the whole channel."""

PartOutcome = Literal["ok", "later", "held", "dead", "lost", "cancelled", "broken"]
"""The result of end_part. `ok`: the lease stays, and the next part or the ack follows.

`later` and `held`: the lease was given back. `dead`: the rest of the answer is a dead letter.
"""

OwnAction = Literal["", "resume", "take"]
"""What a keyword in a message of ours asks for."""

OwnMessageResult = Literal["ours", "human", "resumed", "taken", "foreign"]
"""What a message from our own number is: a part that we sent (`ours`), a human's word that paused the conversation
(`human`), a keyword that gave it back to the bot (`resumed`) or took it (`taken`), or a message that changes nothing
(`foreign`)."""

DoubtResult = Literal["ok", "unknown"]
"""The result of settle_doubt."""


class SendLimits(NamedTuple):
    """The limits of a channel and of one person in it, and the time between two probes of a held channel.

    An interval is the ms between two parts, 0 for no limit. A burst is how many parts may go out at once.
    """

    channel_interval_ms: int = 0
    channel_burst: int = 1
    person_interval_ms: int = 0
    person_burst: int = 1
    probe_ms: int = 30_000


class Began(NamedTuple):
    """The result of begin_part. `at_ms` is when the conversation comes back, None unless it waits."""

    mark: PartMark
    at_ms: int | None


class Ending(NamedTuple):
    """How the sending of a part ended. `message_id` is the id at the gateway of a part that was sent.

    `delay_ms` is the time until the next part, or until this one is tried again. A part that was put back for longer
    than `give_up_ms` (0: never) makes a dead letter. `reason` is for people.
    """

    end: PartEnd
    flush_id: str
    message_id: str | None = None
    delay_ms: int = 0
    give_up_ms: int = 0
    reason: str = ""


class OwnMessage(NamedTuple):
    """A message from our own number, as a webhook brought it.

    `own_id` is an id or mark of ours in it. `action` is what its keyword asks for, for `pause_ms`. `human_pause_ms` is
    for how long the conversation is paused if the message is none of ours, 0 if it is not a human's word.
    """

    conversation: Conversation
    message_id: str | None
    own_id: str | None
    text_print: bytes
    action: OwnAction = ""
    pause_ms: int = 0
    human_pause_ms: int = 0


class Status(NamedTuple):
    """What a gateway says of a part after it took it. `own_id` is an id or mark of ours in it."""

    state: Literal["sent", "failed"]
    message_id: str | None = None
    own_id: str | None = None
    reason: str = ""


class Doubt(NamedTuple):
    """A part in doubt, for people. `doubt_id` is `<flush_id>.<part>`; `number` is its number in the stored `answer`."""

    doubt_id: str
    since_ms: int
    conversation: Conversation
    reason: str
    number: int
    answer: bytes


class HeldChannel(NamedTuple):
    """A channel through which nothing can be sent, for people: since when, and why."""

    gateway: str
    channel: str
    since_ms: int
    reason: str


class Doubts(NamedTuple):
    """A page of the parts in doubt of a partition, with the number of all of them."""

    now_ms: int
    total: int
    page: list[Doubt]
