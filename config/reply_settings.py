"""The settings of replies: how an answer becomes parts, how they are sent, and when a human takes over."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode

from config.keywords import TakeoverAction, takeover_actions
from config.setting_types import BlankIsNone, Seconds, milliseconds, words_of


class ReplySettings(BaseSettings):
    """How replies reach the person, and when they stop."""

    send_replies: Literal["auto", "off"] = Field(
        "auto",
        description="auto: the agent's answer is sent to the person where the gateway's credentials are set; "
        "off: it is not",
    )
    reply_split: Literal["off", "paragraphs"] = Field(
        "off", description="paragraphs: each paragraph of a reply is a message of its own"
    )
    reply_parts_max: int = Field(
        5, ge=1, le=20, description="messages that one answer makes at most; the rest is joined to the last of them"
    )
    reply_typing_cps: int = Field(
        0,
        ge=0,
        le=1000,
        description="characters a second that the bot seems to type: each message waits as long, 10 s at most; 0: none",
    )
    reply_in_doubt: Literal["hold", "resend"] = Field(
        "hold",
        description="what follows if nobody knows whether a message was sent. hold: a person decides; resend: it is "
        "sent again, perhaps twice",
    )
    reply_rate: Annotated[Annotated[float, Field(gt=0, le=1000)] | None, BlankIsNone] = Field(
        None,
        description="messages a second that one channel sends at most; default: as docs/sending.md says",
    )
    reply_give_up: Seconds = Field(
        86_400.0, description="time after which an answer becomes a dead letter if the gateway does not take it"
    )
    fallback_reply: Annotated[str | None, BlankIsNone] = Field(
        None,
        max_length=4096,
        description="what the person is told if the agent fails and their burst becomes a dead letter, at most once an "
        "hour; empty: nothing",
    )
    reply_mark_read: bool = Field(False, description="true: the person's messages are marked as read at the claim")
    reply_markdown: Annotated[Literal["off", "whatsapp"] | None, BlankIsNone] = Field(
        None,
        description="whatsapp: Markdown of the agent becomes what WhatsApp shows; off: it stays. Default: whatsapp for "
        "AGENT_KIND openai, dify and flowise, else off",
    )
    typing_indicator: bool = Field(
        True, description="true: the person sees that the bot types while the agent thinks, where the gateway can"
    )

    takeover_pause: Seconds = Field(
        3600.0, description="time for which the bot is silent after a human of ours has written to the person"
    )
    takeover_from: Literal["device", "any", "off"] = Field(
        "device",
        description="whose message counts as a human's. device: one that was typed on a phone or in WhatsApp Web; "
        "any: also one that another program sent; off: nobody's",
    )
    takeover_keywords: Annotated[tuple[str, ...], NoDecode] = Field(
        ("#bot=resume", "#humano=take"),
        description="what the human can write into the chat to give the conversation back (resume) or to take it "
        "(take); the agent does not get it",
    )

    @field_validator("takeover_keywords", mode="before")
    @classmethod
    def _split_keywords(cls, value: Any) -> Any:
        return words_of(value)

    @field_validator("takeover_keywords")
    @classmethod
    def _readable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        takeover_actions(value)
        return value

    @property
    def takeover_actions(self) -> dict[str, TakeoverAction]:
        """Return the action of each keyword of TAKEOVER_KEYWORDS, by its `keyword_key`."""
        return takeover_actions(self.takeover_keywords)

    @property
    def takeover_ms(self) -> int:
        """Return how long the bot is silent after a human's word, in milliseconds."""
        return milliseconds(self.takeover_pause)

    @property
    def reply_give_up_ms(self) -> int:
        """Return how long an answer waits for a gateway that does not take it, in milliseconds."""
        return milliseconds(self.reply_give_up)
