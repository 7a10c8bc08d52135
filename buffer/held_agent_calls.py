"""The seam to the Lua scripts of agents that fail for everyone, as buffer/script_calls.py is for the others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

Args = list[Any]

AgentStatus = Literal["works", "opened", "probe", "held"]
"""What becomes of calls to an agent. `opened`: they are held from now on. `probe`: this one may try it."""

STATUSES: dict[bytes, AgentStatus] = {status.encode(): status for status in get_args(AgentStatus)}


class AgentVerdict(NamedTuple):
    """The status of an agent, and the ms until the next probe."""

    status: AgentStatus
    probe_in_ms: int = 0

    @property
    def is_held(self) -> bool:
        """Return True if the agent must not be called now."""
        return self.status in ("held", "opened")


class Strike(NamedTuple):
    """A call that failed as every call to its agent would. `person` is a digest; `people` of them hold the calls."""

    tag: str
    person: str
    people: int
    probe_ms: int
    forget_ms: int
    address: str
    reason: str


class HeldAgent(NamedTuple):
    """An agent whose calls are held, for people: since when, until the next probe when, why, and how many wait."""

    tag: str
    address: str
    since_ms: int
    until_ms: int
    reason: str
    waiting: int = 0


def strike_args(strike: Strike) -> Args:
    """Return the arguments of strike.lua."""
    return [*strike]


def read_strike(reply: Sequence[Any]) -> AgentVerdict:
    """Return whether the agent is held now."""
    return AgentVerdict(STATUSES[reply[0]], int(reply[1]))


def probe_args(tag: str, first_ms: int, longest_ms: int) -> Args:
    """Return the arguments of probe.lua."""
    return [tag, first_ms, longest_ms]


def read_probe(reply: Sequence[Any]) -> AgentVerdict:
    """Return whether the agent may be called."""
    return AgentVerdict(STATUSES[reply[0]], int(reply[1]))


def works_args(tag: str) -> Args:
    """Return the arguments of works.lua."""
    return [tag]


def read_works(reply: int) -> int:
    """Return for how many ms the calls were held, 0 if they were not, or if another caller was first."""
    return int(reply)


def unpark_args(tag: str, limit: int) -> Args:
    """Return the arguments of unpark.lua."""
    return [tag, limit]


def read_unpark(reply: int) -> int:
    """Return how many batches were looked at."""
    return int(reply)


def held_agent_of(tag: bytes, state: bytes) -> HeldAgent | None:
    """Return an agent of the key kind `agents`, None unless its calls are held."""
    try:
        found = json.loads(state)
        since_ms, until_ms = int(found["since_ms"]), int(found["until_ms"])
        address, reason = str(found.get("address", "")), str(found.get("reason", ""))
        return HeldAgent(tag.decode(), address, since_ms, until_ms, reason)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
