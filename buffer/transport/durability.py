"""DURABILITY: the command behind a storing script that waits for a replica or the disk, before the gateway gets 2xx."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from buffer.errors import NotDurable, StoreUnavailable
from config.settings import Settings

DURABLE_SCRIPTS = frozenset({"append", "edit", "revoke"})
"""Scripts that are followed by WAIT or WAITAOF: their reply decides whether a gateway gets 2xx.

Each must write on every call. WAIT covers the last write of its own connection, so a repeated call that writes nothing
would be confirmed at once, before the original, sent on another connection, is durable.
"""

WAITS: dict[str, tuple[str, tuple[int, ...]]] = {"replica": ("WAIT", (1,)), "disk": ("WAITAOF", (1, 0))}
"""Command and counts of each DURABILITY: one replica, or the disk of this server and of no replica."""


@dataclass(slots=True, frozen=True)
class Wait:
    """The command at the end of a pipeline. Redis replies when the writes are durable, or at the timeout."""

    mode: str
    command: tuple[str | int, ...]
    probe: tuple[str | int, ...]
    """The same command with counts of 0, to learn whether the server allows it."""

    def failure(self, reply: Any) -> StoreUnavailable | None:
        """Return the error for the reply to `command`, or None if the writes are durable."""
        if isinstance(reply, Exception):
            return StoreUnavailable(f"DURABILITY={self.mode}: Redis did not wait: {reply}")
        confirmed = reply[0] if isinstance(reply, list) else reply
        if confirmed:
            return None
        missing = "no replica" if self.mode == "replica" else "no fsync of the append-only file"
        return NotDurable(f"DURABILITY={self.mode}: {missing} confirmed the messages within DURABILITY_TIMEOUT")


def durability_wait(settings: Settings) -> Wait | None:
    """Return the wait that these settings ask for. None with DURABILITY=memory."""
    if settings.durability == "memory":
        return None
    name, numbers = WAITS[settings.durability]
    zeros = [0 for _ in numbers]
    return Wait(settings.durability, (name, *numbers, settings.durability_ms), (name, *zeros, 1))
