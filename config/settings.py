"""The settings: one frozen object, read from the environment and `.env` by the command that starts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from config.agent_settings import MARKDOWN_KINDS, AgentSettings
from config.burst_settings import BurstSettings
from config.gateway_settings import GatewaySettings
from config.redis_address import address_problem
from config.reply_settings import ReplySettings
from config.setting_types import BlankIsNone, OptionalBaseAddress, OptionalSecret, Seconds, milliseconds, words_of
from config.settings_rules import combination_problems
from config.spelling import refused_names, told_names
from config.value_errors import sentence

ChatwootStatus = Literal["open", "pending", "resolved", "snoozed"]
CHATWOOT_STATUSES: tuple[ChatwootStatus, ...] = ("open", "pending", "resolved", "snoozed")


class SettingsError(Exception):
    """The settings cannot work. The message names the variables and a way out."""


class Settings(GatewaySettings, ReplySettings, AgentSettings, BurstSettings):
    """Every setting. Durations are seconds, sizes are bytes, lists are comma-separated."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_file_encoding="utf-8", hide_input_in_errors=True)

    host: str = Field("127.0.0.1", description="address that the webhook listens on")
    port: int = Field(8000, ge=1, le=65_535, description="port that the webhook listens on")
    uvicorn_workers: int = Field(1, ge=1, le=512, description="number of webhook processes")
    public_base_url: OptionalBaseAddress = Field(
        None, repr=False, description="address that gateways call, without /webhooks/...; part of what Twilio signs"
    )
    signature_max_age: float = Field(
        0.0, ge=0, le=31_536_000, description="oldest accepted signature, if the gateway signs the time; 0: any age"
    )
    webhook_max_body: int = Field(
        16_777_216, ge=1024, description="largest accepted request body (bytes); a larger one gets 413"
    )
    webhook_bodies_max: int = Field(
        268_435_456, ge=4096, description="bytes of all request bodies that one process holds; above it 503"
    )
    webhook_head_timeout: Seconds = Field(
        10.0, description="longest time from a new connection, or a request's first byte, to the end of its headers"
    )
    webhook_body_timeout: Seconds = Field(
        30.0, description="longest time for a request body, or for each MiB of a larger one"
    )
    webhook_docs: bool = Field(True, description="false: there is no page /docs; /openapi.json stays")
    webhook_dashboard: bool = Field(True, description="false: there is no page /dashboard and no /snapshot.json")
    webhook_allow_unsigned: bool = Field(
        False, description="true: gateways without a secret are open, too (for demo and tests only)"
    )

    redis_url: Annotated[str | None, BlankIsNone] = Field(
        None,
        repr=False,
        description="address of Redis: redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://",
    )
    rq_redis_url: Annotated[str | None, BlankIsNone] = Field(
        None, repr=False, description="address of the Redis of RQ's queue; default: REDIS_URL (required with a cluster)"
    )
    rq_queue: str = Field("flush", pattern=r"^[A-Za-z0-9_.-]+$", description="name of RQ's queue")
    rq_show_pending: bool = Field(
        True, description="true: RQ's dashboards list pending and finished flushes, and dead letters as failed jobs"
    )
    redis_partitions: int = Field(
        1, ge=1, le=1024, description="number of partitions (hash slots in use); fixed at the first start"
    )
    redis_key_prefix: str = Field("deb", pattern=r"^[A-Za-z0-9_.-]+$", description="first part of every Redis key")
    dedupe_ttl: Seconds = Field(604_800.0, description="time for which a message id is remembered, to find duplicates")
    durability: Literal["memory", "replica", "disk"] = Field(
        "memory", description="2xx is sent when the message is in Redis's memory, in a replica's, too, or on its disk"
    )
    durability_timeout: Seconds = Field(
        0.5, description="longest wait for replica or disk; after it the gateway is told to send again"
    )

    worker_concurrency: int = Field(200, ge=1, le=10_000, description="number of agent calls in flight in one worker")
    flush_lease: Seconds = Field(15.0, description="time for which a worker owns a batch without renewing its lease")
    flush_renew_interval: Seconds = Field(5.0, description="time between two renewals of a lease")
    visibility_time: Seconds = Field(
        5.0, description="a dispatched job that has not started after this time is dispatched again"
    )
    shutdown_grace: Seconds = Field(70.0, description="time after SIGTERM for the calls in flight to finish")
    media_inline_max: int = Field(
        1_048_576, ge=0, description="largest inline media (bytes of base64) that is sent to the agent"
    )

    message_max_age: Annotated[float, Field(ge=0)] = Field(
        0.0, description="messages older than this (by the gateway's timestamp) are ignored; 0: any age"
    )
    groups_enabled: bool = Field(False, description="true: a group is a conversation, each message names its author")
    reactions_enabled: bool = Field(False, description="true: a reaction is a message")
    canonical_phones: bool = Field(
        True, description="true: spellings of one WhatsApp number (Brazil's ninth digit …) are one person"
    )
    chatwoot_statuses: Annotated[tuple[ChatwootStatus, ...], NoDecode] = Field(
        CHATWOOT_STATUSES,
        description="statuses of the Chatwoot conversations that are heard; an open one only without a human assignee",
    )

    admin_token: OptionalSecret = Field(
        None, description="bearer token of page, admin API and /metrics; unset: only this machine, and masked"
    )

    routes_file: Annotated[str | None, BlankIsNone] = Field(
        None, description="TOML file with rules of their own for some of our numbers (docs/routes.md)"
    )
    data_dir: str = Field("data", description="folder in which `debouncer up` keeps the embedded server's files")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least severe level logged")
    log_format: Literal["auto", "json", "console"] = Field("auto", description="auto: colours on a terminal, else JSON")
    debouncer_kill_at: Annotated[str | None, BlankIsNone] = Field(
        None, description="for tests: the named point at which the process kills itself"
    )

    @field_validator("chatwoot_statuses", mode="before")
    @classmethod
    def _blank_is_all(cls, value: Any) -> Any:
        return words_of(value.casefold() if isinstance(value, str) else value) or CHATWOOT_STATUSES

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("redis_url", "rq_redis_url")
    @classmethod
    def _redis_scheme(cls, value: str | None) -> str | None:
        if value is not None and (problem := address_problem(value)):
            raise ValueError(problem)
        return value

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        if problems := combination_problems(self):
            raise ValueError("\n".join(problems))
        return self

    @property
    def markdown(self) -> Literal["off", "whatsapp"]:
        """Return REPLY_MARKDOWN, or the default of the agent's kind."""
        return self.reply_markdown or ("whatsapp" if self.agent_kind in MARKDOWN_KINDS else "off")

    @property
    def lease_ms(self) -> int:
        """Return the duration of a lease in milliseconds."""
        return milliseconds(self.flush_lease)

    @property
    def visibility_ms(self) -> int:
        """Return how long dispatch hides a conversation, in milliseconds."""
        return milliseconds(self.visibility_time)

    @property
    def max_age_ms(self) -> int:
        """Return the age above which messages are ignored, in milliseconds, or 0 for no limit."""
        return round(self.message_max_age * 1000)

    @property
    def dedupe_ttl_ms(self) -> int:
        """Return how long a message id is remembered, in milliseconds."""
        return milliseconds(self.dedupe_ttl)

    @property
    def durability_ms(self) -> int:
        """Return the longest wait for a replica or the disk, in milliseconds."""
        return milliseconds(self.durability_timeout)

    @property
    def queue_redis_url(self) -> str | None:
        """Return the URL of the Redis that holds RQ's queue."""
        return self.rq_redis_url or self.redis_url


def require(value: str | None, name: str) -> str:
    """Return the value of a setting that this process needs. Raises SettingsError if it is None."""
    if value is None:
        raise SettingsError(f"{name} is not set, and this process needs it. Set it, or run `debouncer up`")
    return value


def load_settings(env_file: str | None = ".env", **overrides: Any) -> Settings:
    """Read and check the settings. Raises SettingsError with one sentence per problem."""
    try:
        settings = Settings(_env_file=env_file, **overrides)
    except ValidationError as error:
        raise SettingsError("\n".join(sentence(item, Settings.model_fields) for item in error.errors())) from None
    if refused := refused_names((name.upper() for name in Settings.model_fields), env_file, os.environ):
        raise SettingsError("\n".join(refused))
    return settings


def spelling_warnings(env_file: str | None = ".env", known: Iterable[str] = ()) -> list[str]:
    """Return a sentence for each name, in the environment or in `.env`, that may be a misspelt setting.

    `known` are names that the routes file refers to.
    """
    return list(told_names((*(name.upper() for name in Settings.model_fields), *known), env_file, os.environ))
