"""The settings: one frozen object, read from the environment (and `.env`) at the entry point."""

from __future__ import annotations

import difflib
import os
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

ESCAPES = {r"\n": "\n", r"\t": "\t", r"\r": "\r"}
REDIS_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "redis+cluster")
OWN_PREFIXES = ("MESSAGE_BUFFER_", "AGENT_", "WEBHOOK_", "DEBOUNCER_", "FLUSH_", "RETRY_", "DURABIL")

DURABILITY_TIMEOUT_MAX_S = 0.8
"""The webhook waits 1 s for a reply of Redis, and a gateway hears within 2 s."""


class SettingsError(Exception):
    """The settings cannot work; the message names each variable concerned and what to do."""


def _blank_to_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


Seconds = Annotated[float, Field(gt=0, le=31_536_000)]
Optional = BeforeValidator(_blank_to_none)


class Settings(BaseSettings):
    """Every setting of the service; durations in seconds, sizes in bytes, lists comma-separated."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_file_encoding="utf-8", hide_input_in_errors=True)

    message_buffer_enabled: bool = Field(True, description="false: every message is its own flush")
    message_buffer_timeout: Seconds = Field(8.0, description="the window: quiet seconds that end a burst")
    message_buffer_max_wait: Seconds = Field(60.0, description="longest wait after a burst's first message")
    message_buffer_max_messages: int = Field(20, ge=1, le=10_000, description="a burst this long is flushed at once")
    message_buffer_max_bytes: int = Field(262_144, ge=1, description="a burst this large (bytes) is flushed at once")
    message_buffer_separator: str = Field("\n", description=r"joins the texts of a burst; \n and \t are understood")
    message_buffer_flush_keywords: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="a message that is exactly one of these words flushes at once"
    )
    message_buffer_typing_timeout: Annotated[Seconds | None, Optional] = Field(
        None, description="extra wait while the person is typing; default: the window"
    )

    host: str = Field("127.0.0.1", description="address the webhook listens on")
    port: int = Field(8000, ge=1, le=65_535, description="port the webhook listens on")
    uvicorn_workers: int = Field(1, ge=1, le=512, description="webhook processes; any number is right")
    public_base_url: Annotated[str | None, Optional] = Field(
        None, repr=False, description="the address gateways call, without /webhooks/...; part of what Twilio signs"
    )
    signature_max_age: float = Field(
        0.0, ge=0, le=31_536_000, description="oldest signature accepted, where the time is signed too; 0: any"
    )
    webhook_max_body: int = Field(16_777_216, ge=1024, description="largest request body (bytes); above: 413")
    webhook_allow_unsigned: bool = Field(False, description="open gateways without a secret (demo and tests only)")

    redis_url: Annotated[str | None, Optional] = Field(
        None, repr=False, description="redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://"
    )
    rq_redis_url: Annotated[str | None, Optional] = Field(
        None, repr=False, description="where RQ keeps its queue; default: REDIS_URL (needed with a cluster)"
    )
    rq_queue: str = Field("flush", pattern=r"^[A-Za-z0-9_.-]+$", description="name of the RQ queue")
    redis_partitions: int = Field(1, ge=1, le=1024, description="hash slots to spread over; fixed at first start")
    redis_key_prefix: str = Field("deb", pattern=r"^[A-Za-z0-9_.-]+$", description="first part of every key")
    dedupe_ttl: Seconds = Field(604_800.0, description="how long message ids are remembered")
    durability: Literal["memory", "replica", "disk"] = Field(
        "memory", description="what has a message before 2xx: Redis's memory, also a replica's, or its disk"
    )
    durability_timeout: Seconds = Field(
        0.5, description="longest wait for replica or disk; then the gateway is told to send again"
    )

    agent_url: Annotated[str | None, Optional] = Field(
        None, repr=False, description="where bursts are sent (n8n, Dify, your own)"
    )
    agent_timeout: Seconds = Field(60.0, description="longest wait for the agent's answer")
    agent_secret: Annotated[SecretStr | None, Optional] = Field(
        None, description="signs calls to the agent (Standard Webhooks)"
    )
    agent_max_attempts: int = Field(8, ge=1, le=100, description="calls before a batch becomes a dead letter")
    retry_base: Seconds = Field(5.0, description="wait before the second attempt; doubles each time")
    retry_max: Seconds = Field(300.0, description="longest wait between two attempts")

    worker_concurrency: int = Field(200, ge=1, le=10_000, description="agent calls in flight in one worker")
    flush_lease: Seconds = Field(15.0, description="a worker's exclusive right to a batch, renewed while it works")
    flush_renew_interval: Seconds = Field(5.0, description="how often the lease is renewed")
    visibility_time: Seconds = Field(5.0, description="a dispatched job that does not start is dispatched again after")
    shutdown_grace: Seconds = Field(70.0, description="time to finish what is in flight after SIGTERM")
    media_inline_max: int = Field(1_048_576, ge=0, description="inline media (base64 bytes) up to this reach the agent")

    message_max_age: Annotated[float, Field(ge=0)] = Field(
        0.0, description="older messages (by the gateway's timestamp) are ignored; 0: any age"
    )
    groups_enabled: bool = Field(False, description="true: a group is a conversation, each message names its author")
    reactions_enabled: bool = Field(False, description="true: a reaction is a message")
    canonical_phones: bool = Field(
        True, description="spellings of one WhatsApp number (Brazil's ninth digit …) are one person"
    )

    generic_token: Annotated[SecretStr | None, Optional] = Field(None, description="opens /webhooks/generic")
    evolution_token: Annotated[SecretStr | None, Optional] = Field(None, description="opens /webhooks/evolution")
    evolution_jwt_key: Annotated[SecretStr | None, Optional] = Field(
        None, description="opens /webhooks/evolution for its jwt_key tokens"
    )
    meta_app_secret: Annotated[SecretStr | None, Optional] = Field(
        None, description="opens /webhooks/meta: the App Secret, with which Meta signs"
    )
    meta_verify_token: Annotated[SecretStr | None, Optional] = Field(
        None, description="the Verify Token that Meta shows when the URL is registered"
    )
    twilio_auth_token: Annotated[SecretStr | None, Optional] = Field(
        None, description="opens /webhooks/twilio; needs PUBLIC_BASE_URL"
    )
    chatwoot_secret: Annotated[SecretStr | None, Optional] = Field(
        None, description="opens /webhooks/chatwoot for signed deliveries"
    )
    chatwoot_token: Annotated[SecretStr | None, Optional] = Field(
        None, description="opens /webhooks/chatwoot for versions that do not sign"
    )
    waha_hmac_key: Annotated[SecretStr | None, Optional] = Field(
        None, description="opens /webhooks/waha: the key with which WAHA signs"
    )
    zapi_token: Annotated[SecretStr | None, Optional] = Field(None, description="opens /webhooks/zapi")
    uazapi_token: Annotated[SecretStr | None, Optional] = Field(
        None, description="opens /webhooks/uazapi: the token of the instance"
    )
    telegram_secret_token: Annotated[SecretStr | None, Optional] = Field(
        None, description="opens /webhooks/telegram: the secret_token given to setWebhook"
    )
    admin_token: Annotated[SecretStr | None, Optional] = Field(
        None, description="opens page, admin API and metrics; without it loopback only"
    )

    data_dir: str = Field("data", description="where `debouncer up` keeps the embedded server's files")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least severe event logged")
    log_format: Literal["auto", "json", "console"] = Field("auto", description="auto: colours on a terminal, else JSON")
    debouncer_kill_at: Annotated[str | None, Optional] = Field(None, description="tests: die at this named point")

    @field_validator("message_buffer_separator", mode="before")
    @classmethod
    def _unescape(cls, value: Any) -> Any:
        if isinstance(value, str):
            for written, meant in ESCAPES.items():
                value = value.replace(written, meant)
        return value

    @field_validator("message_buffer_flush_keywords", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(word.strip().casefold() for word in value.split(",") if word.strip())
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("redis_url", "rq_redis_url")
    @classmethod
    def _redis_scheme(cls, value: str | None) -> str | None:
        if value is not None and urlsplit(value).scheme not in REDIS_SCHEMES:
            raise ValueError(f"must start with one of {', '.join(s + '://' for s in REDIS_SCHEMES)}")
        return value

    @field_validator("agent_url", "public_base_url")
    @classmethod
    def _http_scheme(cls, value: str | None) -> str | None:
        if value is not None and (urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname):
            raise ValueError("must be a full http:// or https:// address")
        return value

    @field_validator("public_base_url")
    @classmethod
    def _only_a_base(cls, value: str | None) -> str | None:
        if value is not None and (urlsplit(value).port == 0 or "?" in value or "#" in value):
            raise ValueError("must be the address alone, without a query; e.g. https://bot.example.com")
        return value

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        if problems := [*self._problems(), *self._twilio_problems(), *self._durability_problems()]:
            raise ValueError("\n".join(problems))
        return self

    def _twilio_problems(self) -> list[str]:
        if self.twilio_auth_token is None or self.public_base_url is not None:
            return []
        return [
            "TWILIO_AUTH_TOKEN is set, so PUBLIC_BASE_URL must be too: Twilio signs the address it calls, and without "
            "it no request could be checked. Set it to what stands before /webhooks/twilio in Twilio's console"
        ]

    def _durability_problems(self) -> list[str]:
        problems = []
        if self.durability_timeout > DURABILITY_TIMEOUT_MAX_S:
            problems.append(
                f"DURABILITY_TIMEOUT={self.durability_timeout:g} must not exceed {DURABILITY_TIMEOUT_MAX_S:g}: "
                "a gateway is answered within 2 s, whatever Redis does"
            )
        if self.durability != "memory" and urlsplit(self.redis_url or "").scheme == "redis+cluster":
            problems.append(
                f"DURABILITY={self.durability} cannot be kept on a cluster (REDIS_URL=redis+cluster://...): a call "
                "that is redirected would wait on the wrong node. Use one server or a Sentinel, or DURABILITY=memory"
            )
        return problems

    def _problems(self) -> list[str]:
        typing = self.message_buffer_typing_timeout or self.message_buffer_timeout
        rules = [
            (
                self.message_buffer_timeout >= self.message_buffer_max_wait,
                f"MESSAGE_BUFFER_TIMEOUT={self.message_buffer_timeout:g} must be less than "
                f"MESSAGE_BUFFER_MAX_WAIT={self.message_buffer_max_wait:g}: the window could never end a burst",
            ),
            (
                typing > self.message_buffer_max_wait,
                f"MESSAGE_BUFFER_TYPING_TIMEOUT={typing:g} must not exceed "
                f"MESSAGE_BUFFER_MAX_WAIT={self.message_buffer_max_wait:g}",
            ),
            (
                self.flush_lease < 3 * self.flush_renew_interval,
                f"FLUSH_LEASE={self.flush_lease:g} must be at least 3 x FLUSH_RENEW_INTERVAL="
                f"{self.flush_renew_interval:g}: one slow renewal would lose the lease",
            ),
            (
                self.shutdown_grace < self.agent_timeout,
                f"SHUTDOWN_GRACE={self.shutdown_grace:g} must be at least AGENT_TIMEOUT={self.agent_timeout:g}: "
                "a call in flight could not finish",
            ),
            (
                self.retry_base > self.retry_max,
                f"RETRY_BASE={self.retry_base:g} must not exceed RETRY_MAX={self.retry_max:g}",
            ),
            (
                self.dedupe_ttl < self.message_buffer_max_wait,
                f"DEDUPE_TTL={self.dedupe_ttl:g} must be at least MESSAGE_BUFFER_MAX_WAIT="
                f"{self.message_buffer_max_wait:g}: a duplicate could enter an open burst",
            ),
        ]
        return [sentence for broken, sentence in rules if broken]

    @property
    def window_ms(self) -> int:
        """The quiet time that ends a burst, in milliseconds."""
        return _ms(self.message_buffer_timeout)

    @property
    def max_wait_ms(self) -> int:
        """The longest wait after a burst's first message, in milliseconds."""
        return _ms(self.message_buffer_max_wait)

    @property
    def typing_ms(self) -> int:
        """How far a typing event moves the deadline, in milliseconds."""
        return _ms(self.message_buffer_typing_timeout or self.message_buffer_timeout)

    @property
    def lease_ms(self) -> int:
        """How long a claim lasts without renewal, in milliseconds."""
        return _ms(self.flush_lease)

    @property
    def visibility_ms(self) -> int:
        """How long a dispatched conversation stays out of sight, in milliseconds."""
        return _ms(self.visibility_time)

    @property
    def max_age_ms(self) -> int:
        """The age from which a message is ignored, in milliseconds; 0 for never."""
        return round(self.message_max_age * 1000)

    @property
    def dedupe_ttl_ms(self) -> int:
        """How long a message id is remembered, in milliseconds."""
        return _ms(self.dedupe_ttl)

    @property
    def durability_ms(self) -> int:
        """How long what was stored may wait for its replica or the disk, in milliseconds."""
        return _ms(self.durability_timeout)

    @property
    def queue_redis_url(self) -> str | None:
        """The URL of the Redis that holds RQ's queue."""
        return self.rq_redis_url or self.redis_url


def require(value: str | None, name: str) -> str:
    """The value of a setting that this process cannot do without; raises SettingsError."""
    if value is None:
        raise SettingsError(f"{name} is not set, and this process needs it. Set it, or run `debouncer up`")
    return value


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def load_settings(env_file: str | None = ".env", **overrides: Any) -> Settings:
    """Read and check the settings; raises SettingsError with one sentence per problem."""
    try:
        settings = Settings(_env_file=env_file, **overrides)
    except ValidationError as error:
        raise SettingsError("\n".join(_sentence(item) for item in error.errors())) from None
    _refuse_misspelt()
    return settings


def _sentence(item: Any) -> str:
    name = ".".join(str(part) for part in item["loc"][:1]).upper()
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{name}: {message}" if name else message


def _refuse_misspelt() -> None:
    known = {name.upper() for name in Settings.model_fields}
    for name in os.environ:
        if name in known or not name.startswith(OWN_PREFIXES):
            continue
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
        if close:
            raise SettingsError(f"{name} is not a setting; did you mean {close[0]}?")
