"""The types of agent kinds: what the route says of an agent, the request to it, its response, and the kind itself.

The functions of a kind are pure: the worker makes the request (worker/agent.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from agents.results import AgentReply, AgentResult
from buffer.models import Batch

JSON = "application/json"


@dataclass(slots=True, frozen=True)
class AgentTarget:
    """Where the agent of a route is, and what the route says of it. `key` is its API key, empty without one.

    `memory_turns`, `memory_bytes` and `memory_ttl_ms` bound what is kept of a conversation.
    """

    url: str
    key: str = ""
    model: str = ""
    system_prompt: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    memory_turns: int = 10
    memory_bytes: int = 32_768
    memory_ttl_ms: int = 86_400_000
    strip_think: bool = True


@dataclass(slots=True, frozen=True)
class Ask:
    """One question to an agent: the batch, the memory of its conversation, and whether files may go along."""

    target: AgentTarget
    batch: Batch
    memory: bytes = b""
    with_files: bool = True


@dataclass(slots=True, frozen=True)
class AgentRequest:
    """One HTTP request to an agent. `headers` come beside those of every call. `streams`: it asks for events."""

    url: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    streams: bool = False


class AgentResponse(NamedTuple):
    """The response of an agent, read to its end. `headers` have names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        """Return the media type without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class Stream(Protocol):
    """Reads the answer of a request that `streams` while it arrives, and keeps no more than the answer needs."""

    def feed(self, chunk: bytes) -> bool:
        """Take the next bytes. Return True once nothing more is needed."""

    def result(self) -> AgentResult:
        """Return what was read, whether or not the stream came to its end."""


class Missing(NamedTuple):
    """The agent has no trace of the batch: it may be asked."""


class Running(NamedTuple):
    """The agent is still at work on the batch."""


Looked = AgentReply | AgentRequest | Missing | Running
"""What a look came to. A request is the next step of the look."""


class Look(NamedTuple):
    """How a kind finds out whether it has answered a batch already (AGENT_REPEAT=look)."""

    request: Callable[[Ask], AgentRequest]
    read: Callable[[Ask, AgentRequest, AgentResponse], Looked]


class AgentKind(NamedTuple):
    """A kind of agent. `stream` is None for kinds whose answers are read whole."""

    request: Callable[[Ask], AgentRequest]
    read: Callable[[Ask, AgentResponse], AgentResult]
    stream: Callable[[Ask], Stream] | None = None
    look: Look | None = None
