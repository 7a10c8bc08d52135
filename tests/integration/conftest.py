"""Fixtures of the integration tests: everything is a real process, and ends with its test."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.agent import RecordingAgent
from tests.integration.checker import Verdict
from tests.integration.deployment import Fleet
from tests.integration.processes import Webhook, Worker
from tests.servers import Server

IMPATIENT: dict[str, object] = {
    "message_buffer_timeout": 0.5,
    "agent_timeout": 2.0,
    "shutdown_grace": 5.0,
    "agent_max_attempts": 4,
}
"""In the shared fleet a burst ends soon, and the agent has two seconds and four attempts."""

PERCENTILES = {"p50": 0.5, "p99": 0.99, "max": 1.0}


@pytest.fixture
def agent() -> Iterator[RecordingAgent]:
    """An agent of this test alone."""
    agent = RecordingAgent()
    agent.open()
    yield agent
    agent.close()


@pytest.fixture
def start_fleet(
    tmp_path: Path, agent: RecordingAgent, start_server: Callable[..., Server]
) -> Iterator[Callable[..., Fleet]]:
    """Start a fleet on a server of its own: start_fleet(message_buffer_timeout=2)."""
    started: list[Fleet] = []

    def start(server: Server | None = None, **settings: object) -> Fleet:
        folder = tmp_path / f"fleet-{len(started)}"
        folder.mkdir()
        started.append(Fleet(folder, server or start_server(), agent, **settings))
        return started[-1]

    yield start
    for fleet in started:
        fleet.close()


@pytest.fixture(scope="session")
def shared_agent() -> Iterator[RecordingAgent]:
    """The agent of the shared fleet."""
    agent = RecordingAgent()
    agent.open()
    yield agent
    agent.close()


@pytest.fixture(scope="session")
def shared_fleet(tmp_path_factory: pytest.TempPathFactory, shared_agent: RecordingAgent) -> Iterator[Fleet]:
    """A fleet for tests that need nothing special: short retries, and people of its own for each test."""
    server = Server("valkey", tmp_path_factory.mktemp("server"), {})
    fleet = Fleet(tmp_path_factory.mktemp("fleet"), server, shared_agent, **IMPATIENT)
    yield fleet
    fleet.close()
    server.stop()


@pytest.fixture(scope="session")
def shared_webhook(shared_fleet: Fleet) -> Webhook:
    """The webhook of the shared fleet: two uvicorn workers."""
    return shared_fleet.webhook(2)


@pytest.fixture(scope="session")
def shared_worker(shared_fleet: Fleet) -> Worker:
    """The worker of the shared fleet."""
    return shared_fleet.worker()


@pytest.fixture
def peer() -> str:
    """A person that no other test talks with."""
    return f"person-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Callable[[Verdict], None]:
    """Put the measured lateness on record (and on the terminal with `-s`): it is judged, but never asserted closely."""

    def tell(verdict: Verdict) -> None:
        late_ms = {name: round(verdict.percentile(share), 1) for name, share in PERCENTILES.items()}
        for name, value in late_ms.items():
            record_property(f"late_ms_{name}", value)
        print(f"\n{verdict.flushes} flushes, late by {late_ms} ms")

    return tell
