"""The settings that say when a burst ends."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, field_validator
from pydantic_settings import BaseSettings, NoDecode

from config.keywords import TEXT_MAX, can_be_keyword, keyword_key
from config.setting_types import BlankIsNone, Seconds, milliseconds, words_of

ESCAPES = {r"\n": "\n", r"\t": "\t", r"\r": "\r"}
FIRST_MAX_S = 31_536_000.0
FirstWindow = float | Literal["normal", "immediate"]


def first_window(value: Any) -> FirstWindow:
    """Return MESSAGE_BUFFER_FIRST as a word or as seconds. Raises ValueError for any other value."""
    word = str(value).strip().lower()
    if word in ("normal", "immediate"):
        return "normal" if word == "normal" else "immediate"
    try:
        seconds = float(word)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= FIRST_MAX_S:
        raise ValueError(f"{word!r:.60} must be normal, immediate or a number of seconds, e.g. 2.5")
    return seconds


class BurstSettings(BaseSettings):
    """When a burst ends."""

    message_buffer_enabled: bool = Field(True, description="false: each message is flushed on its own, at once")
    message_buffer_timeout: Seconds = Field(
        8.0, description="the window: a burst is flushed after this time without a message"
    )
    message_buffer_first: Annotated[FirstWindow, PlainValidator(first_window)] = Field(
        "normal",
        description="the window after a burst's first message, if no batch of the person is in flight: normal (the "
        "same), immediate (none), or seconds",
    )
    message_buffer_max_wait: Seconds = Field(60.0, description="longest time from a burst's first message to its flush")
    message_buffer_max_messages: int = Field(
        20, ge=1, le=10_000, description="a burst with this number of messages is flushed at once"
    )
    message_buffer_max_bytes: int = Field(262_144, ge=1, description="a burst of this size (bytes) is flushed at once")
    message_buffer_max_pending: int = Field(
        10_000,
        ge=1,
        description="messages of one conversation that may wait for a worker; above it the gateway gets 503",
    )
    message_buffer_separator: str = Field(
        "\n", description=r"placed between the texts of a burst; \n, \t and \r can be used"
    )
    message_buffer_flush_keywords: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="a message that is exactly one of these words flushes its burst at once; case and accents do not "
        "count",
    )
    message_buffer_typing_timeout: Annotated[Seconds | None, BlankIsNone] = Field(
        None, description="an open burst waits at least this long after a typing event; default: the window"
    )

    message_while_answering: Literal["queue", "restart"] = Field(
        "queue",
        description="what a message does that comes before the agent's answer has begun to leave: queue (it waits for "
        "the next burst) or restart (the answer is dropped, and the agent is asked once more with everything; not for "
        "agents that act on each call, e.g. place orders: docs/restart.md)",
    )
    restarts_max: int = Field(
        2,
        ge=1,
        le=100,
        description="with restart: how often the batches of one burst are taken back; after that, queue",
    )

    @field_validator("message_buffer_separator", mode="before")
    @classmethod
    def _unescape(cls, value: Any) -> Any:
        if isinstance(value, str):
            for written, meant in ESCAPES.items():
                value = value.replace(written, meant)
        return value

    @field_validator("message_buffer_flush_keywords", mode="before")
    @classmethod
    def _keys(cls, value: Any) -> Any:
        words = words_of(value)
        return tuple(keyword_key(word) for word in words) if isinstance(words, tuple) else words

    @field_validator("message_buffer_flush_keywords")
    @classmethod
    def _short(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not can_be_keyword(word) for word in value):
            raise ValueError(f"a keyword has at most {TEXT_MAX} characters")
        return value

    @property
    def window_ms(self) -> int:
        """Return the window in milliseconds."""
        return milliseconds(self.message_buffer_timeout)

    @property
    def first_ms(self) -> int:
        """Return the window after a burst's first message in milliseconds, 0 for none."""
        first = self.message_buffer_first
        if isinstance(first, float):
            return milliseconds(first)
        return self.window_ms if first == "normal" else 0

    @property
    def max_wait_ms(self) -> int:
        """Return the longest time from a burst's first message to its flush, in milliseconds."""
        return milliseconds(self.message_buffer_max_wait)

    @property
    def restarts(self) -> int:
        """Return how often the batches of one burst are taken back: 0 with MESSAGE_WHILE_ANSWERING=queue."""
        return self.restarts_max if self.message_while_answering == "restart" else 0

    @property
    def typing_ms(self) -> int:
        """Return how far from now a typing event moves the deadline, in milliseconds."""
        return milliseconds(self.message_buffer_typing_timeout or self.message_buffer_timeout)
