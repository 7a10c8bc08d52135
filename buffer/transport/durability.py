"""DURABILITY: what must have a message before its gateway hears 2xx, as a command behind the scripts that store it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from buffer.errors import NotDurable, StoreUnavailable
from config.settings import Settings

DURABLE_SCRIPTS = frozenset({"append", "edit", "revoke"})
"""The scripts that wait: what a gateway hears of as accepted (typing is only a hint).

Each of them writes something, whatever it answers: a wait covers what its own connection wrote last, so a repetition
that wrote nothing would be confirmed at once while the original, sent on another connection, is not safe yet.
"""

WAITS: dict[str, tuple[str, tuple[int, ...]]] = {"replica": ("WAIT", (1,)), "disk": ("WAITAOF", (1, 0))}
"""One replica, or this server's own disk and no replica's."""


@dataclass(slots=True, frozen=True)
class Wait:
    """The command that ends a pipeline: it answers when all that the connection wrote is safe, or its time is over."""

    mode: str
    command: tuple[str | int, ...]
    probe: tuple[str | int, ...]
    """The same command with nothing to wait for."""

    def problem(self, reply: Any) -> StoreUnavailable | None:
        """Why what was written must not be called accepted, by the reply of `command`."""
        if isinstance(reply, Exception):
            return StoreUnavailable(f"DURABILITY={self.mode}: Redis did not wait: {reply}")
        confirmed = reply[0] if isinstance(reply, list) else reply
        if confirmed:
            return None
        who = "no replica" if self.mode == "replica" else "no fsync of the append-only file"
        return NotDurable(f"DURABILITY={self.mode}: {who} confirmed the messages within DURABILITY_TIMEOUT")


def durability_wait(settings: Settings) -> Wait | None:
    """What follows the scripts under these settings; None when nothing does."""
    if settings.durability == "memory":
        return None
    name, numbers = WAITS[settings.durability]
    nothing = [0 for _ in numbers]
    return Wait(settings.durability, (name, *numbers, settings.durability_ms), (name, *nothing, 1))
