"""Webhooks that reach nobody: each refusal and each ignored message is counted, and told in a line once a minute.

A line names the gateway, the reason, the number and what to do. It never has a value of a request.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from config.log_limiter import LogLimiter
from config.logs import get_logger
from gateways.ignored import IGNORED_REASONS
from webhook.responses import HTTPError

LOG_EVERY_S = 60.0
"""Least seconds between two lines about one gateway and reason."""

SHAPES_MAX = 200
"""Shapes of unknown bodies that are logged by one process."""

NO_GATEWAY = "-"
"""Stands for the gateway of a request that names none."""

SETTINGS_REASONS = {
    "own": "sent by your own number",
    "group": "group (GROUPS_ENABLED=false)",
    "reaction": "reaction (REACTIONS_ENABLED=false)",
    "route_disabled": "of a channel whose route has enabled = false",
}
"""Why a message is ignored that its gateway could read."""

UNTOLD = ("misfit", "unchanged", "discarded", "revoked", "stale")
"""Reasons without a line here: they are told otherwise, or are a matter of course."""

QUOTED = re.compile(r"`([^`]*)`")
FIELD = re.compile(r"[A-Za-z_.]{1,30}")

log = get_logger()


class Key(NamedTuple):
    """What a line is about."""

    what: str
    gateway: str
    reason: str


class LeftOut:
    """Counts what was refused and ignored, by gateway and reason, and logs it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.refused: Counter[tuple[str, str]] = Counter()
        self.ignored: Counter[tuple[str, str]] = Counter()
        self._limiter: LogLimiter[Key] = LogLimiter(LOG_EVERY_S, clock)
        self._details: dict[Key, str] = {}
        self._shapes: set[tuple[str, str]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def refuse(self, gateway: str, error: HTTPError) -> None:
        """Count a request that got an error."""
        self.refused[gateway, error.code] += 1
        self._add(Key("refused", gateway, error.code), error.log_detail or without_values(error.detail))

    def refuse_connection(self, error: HTTPError) -> None:
        """Count a connection that was closed with an error before it named a gateway. Only lack of room has a line."""
        if error.code == "too_many_connections":
            self.refuse(NO_GATEWAY, error)
        else:
            self.count_refused(NO_GATEWAY, error.code)

    def count_refused(self, gateway: str, reason: str) -> None:
        """Count a request that got an error which is told elsewhere."""
        self.refused[gateway, reason] += 1

    def ignore(self, gateway: str, reason: str, shape: str | None = None) -> None:
        """Count a message or an event that calls nobody. `shape` is told once for each gateway."""
        self.ignored[gateway, reason] += 1
        if shape is not None:
            self._tell_shape(gateway, shape)
        if reason not in UNTOLD:
            meaning = SETTINGS_REASONS.get(reason) or IGNORED_REASONS.get(reason, reason)
            self._add(Key("ignored", gateway, reason), meaning)

    def flush(self, *, everything: bool = False) -> None:
        """Log the counts that have no line yet. The timer calls this, and the end of the process (`everything`)."""
        for key, count in self._limiter.due(everything=everything):
            self._tell(key, count)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._limiter.has_untold():
            self._timer = asyncio.get_running_loop().call_later(LOG_EVERY_S, self.flush)

    def _add(self, key: Key, detail: str) -> None:
        self._details[key] = detail
        if count := self._limiter.add(key):
            self._tell(key, count)
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOG_EVERY_S, self.flush)

    def _tell(self, key: Key, count: int) -> None:
        what, gateway, reason = key
        noun = "webhook" if what == "refused" else "message" if reason in SETTINGS_REASONS else "event"
        line = f"{count} {noun}{'' if count == 1 else 's'} {what}: {self._details[key]}"
        if gateway != NO_GATEWAY:
            line = f"{gateway}: {line}"
        write = log.warning if what == "refused" else log.info
        write(line, gateway=gateway, reason=reason, count=count)

    def _tell_shape(self, gateway: str, shape: str) -> None:
        if (gateway, shape) not in self._shapes and len(self._shapes) < SHAPES_MAX:
            self._shapes.add((gateway, shape))
            log.warning(f"{gateway}: an authentic webhook has no known form; report its shape", shape=shape)


def without_values(detail: str) -> str:
    """Hide a text in backticks that is no field name: a client may write anything there."""
    return QUOTED.sub(lambda found: found[0] if FIELD.fullmatch(found[1]) else "`?`", detail)
