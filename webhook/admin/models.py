"""The bodies of the admin API."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from buffer.insight_models import ConversationState
from buffer.operator_models import PendingState

FLUSH_IDS_MAX = 500
"""Dead letters that one request may name."""

YEAR_S = 31_536_000

Name = Annotated[str, Field(min_length=1, max_length=256)]
State = ConversationState
Listed = PendingState


class Body(BaseModel):
    """A body that is sent to us: a misspelt field is an error."""

    model_config = ConfigDict(extra="forbid")


class Who(BaseModel):
    """A conversation; `id` is the person. Without a token, numbers are masked and `name` is null."""

    gateway: str
    channel: str
    id: str
    name: str | None = None


class ListedConversation(BaseModel):
    """A conversation that waits for something, until `due_ms`."""

    ref: str
    conversation: Who
    state: Listed
    due_ms: int
    opened_ms: int | None = Field(description="when its open burst began")
    messages: int


class Conversations(BaseModel):
    """A page of the conversations that wait, soonest first. With a `state` it may hold fewer than `limit`, or none."""

    items: list[ListedConversation]
    next_cursor: str | None
    total: int | None = Field(description="how many conversations wait in all")


class HeldMessageBody(BaseModel):
    """A message that is held. `text` is null without a token."""

    received_ms: int
    kind: str
    text: str | None
    has_media: bool


class ConversationBody(BaseModel):
    """Everything that a conversation holds and waits for."""

    ref: str
    conversation: Who
    state: State
    now_ms: int
    opened_ms: int | None
    deadline_ms: int | None
    cap_ms: int | None = Field(description="the latest moment at which its burst is due")
    due_ms: int | None
    paused_until_ms: int | None
    pause_mode: str
    flush_id: str
    reason: str
    attempts: int
    parts: int
    next_part: int
    burst_messages: int
    batch_messages: int
    burst: list[HeldMessageBody] = Field(description="the first messages of the open burst")
    batch: list[HeldMessageBody] = Field(description="the first messages of the batch")


class PersonBody(Body):
    """A person on a channel of ours, by any of their names: phone number, LID, BSUID."""

    gateway: Name
    channel: Name
    id: Name


class Found(BaseModel):
    """The conversation of a person."""

    ref: str


class Flushed(BaseModel):
    """How many messages the burst holds that is due now."""

    messages: int


class Discarded(BaseModel):
    """How many messages were discarded at once, and whether a call to the agent is given up."""

    messages: int
    in_flight: bool = Field(description="a batch is at the agent: it is discarded when its worker hears of it")


class PauseBody(Body):
    """How long, and what becomes of messages meanwhile."""

    seconds: float = Field(3600, gt=0, le=YEAR_S)
    mode: Literal["hold", "takeover"] = Field("hold", description="hold: they wait; takeover: they are discarded")


class Paused(BaseModel):
    """The end of the pause."""

    paused_until_ms: int


class Resumed(BaseModel):
    """Whether the conversation was paused."""

    was_paused: bool


class ErasedBody(BaseModel):
    """How much of a person was deleted. A second erase finds nothing: all numbers are 0."""

    found: bool
    conversations: int
    messages: int
    dead_letters: int
    doubts: int
    records: int = Field(description="entries of the history")
    jobs: int = Field(description="jobs of RQ")


class Flush(BaseModel):
    """The record of a flush, a discard or a part that ended."""

    ref: str
    conversation: Who
    flush_id: str
    part: str
    reason: str
    outcome: str
    cause: str
    error: str
    messages: int
    opened_ms: int | None
    last_ms: int | None
    due_ms: int | None
    closed_ms: int | None
    claimed_ms: int | None
    answered_ms: int | None
    ended_ms: int
    attempts: int
    parts: int
    next_part: int
    doubts: int
    arrivals_ms: list[int]
    successor: str = Field(description="the flush_id of the flush that replaces a superseded one")
    window_ms: int | None = Field(description="the quiet time that its last message began")
    window_why: str
    is_held: bool = Field(description="a typing event moved the deadline")
    window: str = Field(description="window and reason for people, as in auto 5.2 s: channel")


class Flushes(BaseModel):
    """A page of what ended, newest first."""

    items: list[Flush]
    next_cursor: str | None


class DeadLetterBody(BaseModel):
    """A batch that was not delivered. `messages` is 0 if they are gone, or if it is one part of an answer."""

    flush_id: str
    conversation: Who
    died_ms: int
    redriven_ms: int | None = Field(description="since when it waits to be delivered again")
    error: str
    messages: int
    attempts: int


class DeadLetterLook(DeadLetterBody):
    """A dead letter with what it holds. Texts are null, and `replies` is empty, without a token."""

    reason: str
    closed_ms: int | None
    next_part: int
    shown: list[HeldMessageBody] = Field(description="its first messages")
    replies: list[str] = Field(description="the texts of its answer")


class DeadLettersBody(BaseModel):
    """A page of the dead letters, oldest first."""

    items: list[DeadLetterBody]
    next_cursor: str | None
    total: int | None


class Retried(BaseModel):
    """The result of a retry: `already` means that it waits for that since before."""

    flush_id: str
    result: Literal["ok", "already"]


class DiscardedLetter(BaseModel):
    """The dead letter that is no more."""

    flush_id: str


class RetryBody(Body):
    """Which dead letters to deliver again: those of `flush_ids`, or all, or all of a gateway and a channel."""

    flush_ids: list[Name] | None = Field(None, min_length=1, max_length=FLUSH_IDS_MAX)
    all: bool = False
    gateway: Name | None = None
    channel: Name | None = None
    cursor: str | None = Field(None, max_length=2048, description="`next_cursor` of the answer before")

    @model_validator(mode="after")
    def _one_choice(self) -> RetryBody:
        if bool(self.flush_ids) == self.all:
            raise ValueError('name "flush_ids", or say "all": true')
        if self.flush_ids and (self.gateway or self.channel or self.cursor):
            raise ValueError('"gateway", "channel" and "cursor" belong to "all": true')
        return self


class RetriedMany(BaseModel):
    """What a retry did. With a `next_cursor` there are more: send the same again with it as `cursor`."""

    ok: int
    already: int
    failed: list[str] = Field(description="ids that are unknown, or whose messages are gone")
    next_cursor: str | None


class DoubtBody(BaseModel):
    """A part of an answer whose request left and whose fate nobody knows. `text` is null without a token."""

    id: str
    conversation: Who
    since_ms: int
    reason: str
    number: int
    text: str | None


class DoubtsBody(BaseModel):
    """A page of the parts in doubt, oldest first."""

    items: list[DoubtBody]
    next_cursor: str | None
    total: int | None


class Settled(BaseModel):
    """The part in doubt that was decided about."""

    id: str
    action: Literal["send", "drop"]


class Answered(BaseModel):
    """The flush whose answer is stored."""

    flush_id: str
    status: Literal["stored"]


class AgentBody(BaseModel):
    """An agent that fails for everyone: since when, when it is probed next, and how many batches wait for it.

    `address` and `reason` are null without a token.
    """

    id: str
    address: str | None
    reason: str | None
    since_ms: int
    probe_ms: int
    waiting: int


class AgentsBody(BaseModel):
    """The agents whose calls are held."""

    now_ms: int
    items: list[AgentBody]
