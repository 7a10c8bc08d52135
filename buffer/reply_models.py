"""The data of replies: the state of the parts of an answer, and the results of the scripts that change it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from buffer.models import Conversation

PartMark = Literal["send", "wait", "held", "lost", "cancelled", "broken"]
"""The result of begin_part. `send`: the part is marked `sending`, and its request may leave now.

`wait`: a rate limit; `held`: the channel is misconfigured. In both cases the conversation has given its lease back, and
the wake index brings it back at `at_ms`. `cancelled`: a takeover or a discard; nothing more is sent.
"""

PartEnd = Literal["sent", "later", "refused", "misconfigured", "in_doubt"]
"""How the sending of a part ended, as the worker reports it."""

PartOutcome = Literal["ok", "later", "held", "dead", "lost", "cancelled", "broken"]
"""The result of end_part. `ok`: the lease stays, go on with the next part or ack."""

OwnMessage = Literal["ours", "human", "resumed", "taken", "foreign", "old"]
"""What a message sent from our number is: our own part (`ours`), a human's word that paused the conversation (`human`),
a keyword that gave the conversation back (`resumed`) or took it (`taken`), another program's (`foreign`), or a
message of a human that is too old to count (`old`)."""

DoubtResult = Literal["ok", "unknown"]


class PartLimits(NamedTuple):
    """The rate limits of a channel and of one person in it: ms between two parts (0 = none), and the burst."""

    channel_interval_ms: int
    channel_burst: int
    person_interval_ms: int
    person_burst: int


class Began(NamedTuple):
    """The result of begin_part. `at_ms` is None unless the conversation waits."""

    mark: PartMark
    at_ms: int | None


class PartReport(NamedTuple):
    """How the sending of a part ended.

    `message_id` is the gateway's id of a part that was sent. `delay_ms` is the wait before this part is sent again
    (`later`), or before the next one is sent. `give_up_ms` is the time after which a part that is put back again and
    again makes a dead letter. `reason` is for people.
    """

    end: PartEnd
    message_id: str | None = None
    delay_ms: int = 0
    give_up_ms: int = 0
    reason: str = ""


class Doubt(NamedTuple):
    """A part in doubt, for people. `answer` is the stored answer that holds it, and `number` its number in it."""

    flush_id: str
    number: int
    since_ms: int
    conversation: Conversation
    reason: str
    answer: bytes
