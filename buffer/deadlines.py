"""When a burst is due, in the form in which the scripts apply the rules. Times are ms since 1970."""

from __future__ import annotations

from typing import NamedTuple

PRESENCE_KNOWN_MS = 60_000
"""A conversation whose last typing signal is younger than this shows presence. append.lua has the same."""


def quiet_deadline_ms(last_ms: int, window_ms: int, opened_ms: int, max_wait_ms: int) -> int:
    """Return when a burst is due of which nothing is heard any more (append.lua, include/rejoin.lua)."""
    return min(last_ms + window_ms, opened_ms + max_wait_ms)


def hold_deadline_ms(now_ms: int, opened_ms: int, hold_ms: int, max_wait_ms: int, deadline_ms: int = 0) -> int:
    """Return the deadline after a typing signal: not earlier than `deadline_ms`, the present one (presence.lua).

    The hold never goes past the longest wait.
    """
    return max(deadline_ms, min(now_ms + hold_ms, opened_ms + max_wait_ms))


def let_go_deadline_ms(now_ms: int, opened_ms: int, quiet_ms: int, grace_ms: int, max_wait_ms: int) -> int:
    """Return the deadline of a held burst after the person has stopped typing (presence.lua).

    It may be earlier than before, and is never earlier than `quiet_ms`, the last message plus the burst's own window.
    """
    return min(opened_ms + max_wait_ms, max(quiet_ms, now_ms + grace_ms))


def typing_window_ms(window_ms: int, typing_ms: int | None, presence_ms: int | None, now_ms: int) -> int:
    """Return the window of a message: the shorter one where typing was seen a short time ago (append.lua).

    `typing_ms` is `MESSAGE_BUFFER_TIMEOUT_TYPING`, None if it is off. `presence_ms` is the last typing signal.
    """
    if typing_ms is None or presence_ms is None or now_ms - presence_ms >= PRESENCE_KNOWN_MS:
        return window_ms
    return min(window_ms, typing_ms)


class InFlight(NamedTuple):
    """A batch at the agent: when its burst opened, how often it was taken back, and whether its answer is leaving."""

    opened_ms: int
    restarts: int
    is_leaving: bool


def may_restart(now_ms: int, batch: InFlight, restarts_max: int, max_wait_ms: int, is_within_caps: bool = True) -> bool:
    """Return whether a message that comes now takes the batch in flight back (append.lua).

    Not when the first part of the answer has begun to leave, after `restarts_max` times, at the longest wait, or where
    the batch and what waits behind it would be more than the caps on messages and bytes.
    """
    return (
        not batch.is_leaving
        and batch.restarts < restarts_max
        and now_ms < batch.opened_ms + max_wait_ms
        and is_within_caps
    )
