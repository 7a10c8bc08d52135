"""Combinations of settings that cannot work, each with a sentence that names its variables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from config.agent_settings import LOOKING_KINDS

if TYPE_CHECKING:
    from config.settings import Settings

DURABILITY_TIMEOUT_MAX_S = 0.8
"""The webhook waits 1 s for a reply of Redis, and a gateway must get its response within 2 s."""

LOOKS_LIKE_MS = 1_000
"""Seconds. A window of this size or more was probably meant in milliseconds."""


def combination_problems(settings: Settings) -> list[str]:
    """Return one sentence for each rule that the settings break."""
    rules = [
        *_burst_rules(settings),
        *_flush_rules(settings),
        *_agent_rules(settings),
        *_webhook_rules(settings),
        *_durability_rules(settings),
    ]
    return [sentence + _defaults_note(sentence, settings) for broken, sentence in rules if broken]


def _defaults_note(sentence: str, settings: Settings) -> str:
    """Name the settings of a broken rule that nobody has set, unless nobody has set any of them."""
    names = [name for name in re.findall(r"\b([A-Z][A-Z_]+)=", sentence) if name.lower() in type(settings).model_fields]
    unset = [name for name in names if name.lower() not in settings.model_fields_set]
    if not unset or len(unset) == len(names):
        return ""
    return f". {unset[0]} has its default here: set it, too" if len(unset) == 1 else ""


def _flush_rules(settings: Settings) -> list[tuple[bool, str]]:
    lease, renew_interval = settings.flush_lease, settings.flush_renew_interval
    return [
        (
            lease < 3 * renew_interval,
            f"FLUSH_LEASE={lease:g} must be at least 3 x FLUSH_RENEW_INTERVAL={renew_interval:g}: "
            "one slow renewal would lose the lease",
        ),
        (
            settings.shutdown_grace < settings.agent_timeout,
            f"SHUTDOWN_GRACE={settings.shutdown_grace:g} must be at least AGENT_TIMEOUT={settings.agent_timeout:g}: "
            "a call in flight could not finish",
        ),
        (
            settings.retry_base > settings.retry_max,
            f"RETRY_BASE={settings.retry_base:g} must not exceed RETRY_MAX={settings.retry_max:g}",
        ),
        (
            settings.dedupe_ttl < settings.message_buffer_max_wait,
            f"DEDUPE_TTL={settings.dedupe_ttl:g} must be at least MESSAGE_BUFFER_MAX_WAIT="
            f"{settings.message_buffer_max_wait:g}: "
            "a duplicate could enter an open burst",
        ),
    ]


def _agent_rules(settings: Settings) -> list[tuple[bool, str]]:
    kind, repeat = settings.agent_kind, settings.agent_repeat
    return [
        (
            kind == "openai" and not settings.agent_model,
            "AGENT_KIND=openai needs AGENT_MODEL: the name of the model, e.g. gpt-4o-mini or llama3.2",
        ),
        (
            kind == "dify" and settings.agent_key is None,
            "AGENT_KIND=dify needs AGENT_KEY: the key of the app, from its page `API Access` (app-...)",
        ),
        (
            repeat == "look" and kind not in LOOKING_KINDS,
            f"AGENT_REPEAT=look is not possible with AGENT_KIND={kind}, which cannot tell whether it has answered; "
            "write always or never",
        ),
        (
            settings.message_while_answering == "restart" and settings.repeat == "never",
            f"MESSAGE_WHILE_ANSWERING=restart asks the agent again when a person goes on, and AGENT_REPEAT=never"
            f"{'' if repeat else f', the default of AGENT_KIND={kind},'} forbids that; write queue",
        ),
    ]


def _webhook_rules(settings: Settings) -> list[tuple[bool, str]]:
    return [
        (
            settings.webhook_bodies_max < 2 * settings.webhook_max_body,
            f"WEBHOOK_BODIES_MAX={settings.webhook_bodies_max} must be at least 2 x WEBHOOK_MAX_BODY="
            f"{settings.webhook_max_body}: a body of the largest size would never fit beside others",
        ),
        (
            settings.twilio_auth_token is not None and settings.public_base_url is None,
            "TWILIO_AUTH_TOKEN is set, so PUBLIC_BASE_URL must be too: Twilio signs the address that it calls, and "
            "without that address no signature can be checked. Set it to the part before /webhooks/twilio of the "
            "address in Twilio's console",
        ),
    ]


def _burst_rules(settings: Settings) -> list[tuple[bool, str]]:
    window, max_wait = settings.message_buffer_timeout, settings.message_buffer_max_wait
    typing, first = settings.message_buffer_typing_timeout, settings.message_buffer_first
    return [
        (
            window >= max_wait,
            f"MESSAGE_BUFFER_TIMEOUT={window:g} must be less than MESSAGE_BUFFER_MAX_WAIT={max_wait:g}: "
            f"the window could never end a burst{_unit_hint(window)}",
        ),
        (
            # Without a value of its own it is the window, of which the rule above speaks.
            typing is not None and typing > max_wait,
            f"MESSAGE_BUFFER_TYPING_TIMEOUT={typing or 0:g} must not exceed MESSAGE_BUFFER_MAX_WAIT={max_wait:g}",
        ),
        (
            isinstance(first, float) and first > max_wait,
            f"MESSAGE_BUFFER_FIRST={first} must not exceed MESSAGE_BUFFER_MAX_WAIT={max_wait:g}",
        ),
    ]


def _unit_hint(seconds: float) -> str:
    """Return a hint for a value that looks like milliseconds."""
    return f" (durations are seconds; {seconds:g} ms are {seconds / 1000:g})" if seconds >= LOOKS_LIKE_MS else ""


def _durability_rules(settings: Settings) -> list[tuple[bool, str]]:
    return [
        (
            settings.durability_timeout > DURABILITY_TIMEOUT_MAX_S,
            f"DURABILITY_TIMEOUT={settings.durability_timeout:g} must not exceed {DURABILITY_TIMEOUT_MAX_S:g}: "
            "a gateway must get its response within 2 s, whatever Redis does",
        ),
        (
            settings.durability != "memory" and urlsplit(settings.redis_url or "").scheme == "redis+cluster",
            f"DURABILITY={settings.durability} cannot be kept on a cluster (REDIS_URL=redis+cluster://...): a command "
            "that is redirected would wait on the wrong node. Use one server or a Sentinel, or DURABILITY=memory",
        ),
    ]
