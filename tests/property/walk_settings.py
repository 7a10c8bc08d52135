"""Who and what the tests of the state machine play with: small caps, long windows."""

from __future__ import annotations

from functools import cache

from buffer.models import Conversation
from config.settings import Settings, load_settings

START_MS = 1_700_000_000_000
PEOPLE = {name: Conversation("generic", "loja", name) for name in ("ana", "bia", "caio")}
SICK = Conversation("generic", "loja", "doro")
"""A neighbour whose keys get damaged."""

NAMES = {
    "ana": ("5500000001", "ana@lid", "ana.bsuid"),
    "bia": ("bia@lid", "5500000002"),
    "caio": ("caio.bsuid", "5500000003"),
}
"""The names under which gateways know a person; the digits are a phone number."""

PAYLOAD_SIZES = (60, 60, 150)

# Real TTLs (lock, timer) run beside the injected time: long windows keep them from ending in a test.
WINDOW_S, MAX_WAIT_S, LEASE_S, VISIBILITY_S, DEDUPE_S = 80, 300, 150, 20, 1200
TYPING_WINDOW_S, HOLD_S, GRACE_S = 40, 100, 35
MAX_AGE_S = 600
FIRST = "30"
"""The window after a first message, in the walks that compare with the model."""


RESTARTS_MAX, SHORT_LEASE_S = 2, 80.0


@cache  # to load them takes as long as a fifth of a walk
def settings_for(prefix: str, *, enabled: bool = True, max_age_s: int = 0, first: str = "normal") -> Settings:
    """The settings of one walk."""
    return load_settings(
        env_file=None,
        redis_key_prefix=prefix,
        message_buffer_enabled=enabled,
        message_buffer_timeout=WINDOW_S,
        message_buffer_timeout_typing=TYPING_WINDOW_S,
        typing_hold=HOLD_S,
        typing_grace=GRACE_S,
        message_buffer_first=first,
        message_buffer_max_wait=MAX_WAIT_S,
        message_buffer_max_messages=4,
        message_buffer_max_bytes=400,
        flush_lease=LEASE_S,
        flush_renew_interval=LEASE_S / 3,
        visibility_time=VISIBILITY_S,
        dedupe_ttl=DEDUPE_S,
        message_max_age=max_age_s,
        agent_max_attempts=3,
    )


def with_restarts(settings: Settings) -> Settings:
    """The same settings, for a route where a message takes back the batch before it.

    Two leases end within the longest wait.
    """
    lease = {"flush_lease": SHORT_LEASE_S, "flush_renew_interval": SHORT_LEASE_S / 3}
    restarts = {"message_while_answering": "restart", "restarts_max": RESTARTS_MAX}
    return settings.model_copy(update={**restarts, **lease})


def without_restarts(settings: Settings) -> Settings:
    """The same settings, for a route where a message waits behind the batch before it."""
    return settings.model_copy(update={"message_while_answering": "queue"})
