"""What a call to an agent came to: its answer, a failure of one of five classes, or the wish to be asked once again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from gateways.sending import Part

LOCKED_STATUSES = frozenset({401, 403, 404, 405})
"""HTTP statuses that every batch of the route would get."""


@dataclass(slots=True, frozen=True)
class AgentReply:
    """The agent accepted the batch (2xx). `handoff`: it asks for a human after the parts.

    `not_understood` names what could not be read, for the log: the whole answer if there are no parts, else the rest.
    `memory` is what the next call of the conversation gets, None to leave it as it is. `comes_later`: it was a 202
    without an answer, which the agent may post later.
    """

    parts: tuple[Part, ...] = ()
    handoff: bool = False
    not_understood: str | None = None
    memory: bytes | None = None
    comes_later: bool = False


@dataclass(slots=True, frozen=True)
class AgentFailure:
    """The agent did not accept the batch. `dead`: do not retry. `sent`: the agent may have read the request.

    `misconfigured`: it fails for everyone until somebody changes a setting, so the attempt does not count. `doubt`: the
    agent may have run, and nobody knows what it said. `status` is the HTTP status of the response, None without one.

    `ours`: this machine could make no connection, whatever the agent does.
    `held` is the tag of the agent if it fails for everyone: the batch waits until it works again. `called`: False if it
    was not even called.
    """

    error: str
    dead: bool = False
    sent: bool = True
    retry_after_s: float | None = None
    misconfigured: bool = False
    doubt: bool = False
    status: int | None = field(default=None, compare=False)
    ours: bool = field(default=False, compare=False)
    held: str = ""
    called: bool = True

    @property
    def is_counted(self) -> bool:
        """Return True if the attempt counts towards AGENT_MAX_ATTEMPTS."""
        return self.dead or (self.sent and not self.misconfigured and not self.held)

    @property
    def is_for_everyone(self) -> bool:
        """Return True if every other call would fail the same: nobody listens, a wrong key, a broken agent."""
        status = self.status or 0
        is_away = not self.sent and not self.ours
        return is_away or self.misconfigured or status >= 500 or status in LOCKED_STATUSES


class Again(NamedTuple):
    """Nothing has run: ask once again in the same attempt, with another memory or without files. The log says `why`."""

    why: str
    memory: bytes
    with_files: bool = True


AgentResult = AgentReply | AgentFailure | Again


def later(error: str, after_s: float | None = None) -> AgentFailure:
    """Return the failure of an agent that did nothing and may be asked again."""
    return AgentFailure(error, retry_after_s=after_s)


def refused(error: str) -> AgentFailure:
    """Return the failure of this very batch: it becomes a dead letter."""
    return AgentFailure(error, dead=True)


def misconfigured(error: str) -> AgentFailure:
    """Return a failure that every batch of the route would meet."""
    return AgentFailure(error, misconfigured=True)


def doubt(error: str) -> AgentFailure:
    """Return the failure of an agent that may have run."""
    return AgentFailure(error, doubt=True)
