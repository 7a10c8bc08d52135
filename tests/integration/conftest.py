"""Fixtures of the integration tests: everything is a real process, and ends with its test."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.agent import RecordingAgent
from tests.integration.checker import Verdict
from tests.integration.deployment import Deployment
from tests.integration.processes import Webhook, Worker
from tests.integration.reply_line import AnyInstanceStub
from tests.integration.up import Up
from tests.servers import Server

IMPATIENT: dict[str, object] = {
    "message_buffer_timeout": 0.5,
    "agent_timeout": 2.0,
    "shutdown_grace": 5.0,
    "agent_max_attempts": 4,
}
"""In the shared deployment a burst ends soon, and the agent has two seconds and four attempts."""

PERCENTILES = {"p50": 0.5, "p99": 0.99, "max": 1.0}


@pytest.fixture
def agent() -> Iterator[RecordingAgent]:
    """An agent of this test alone."""
    agent = RecordingAgent()
    agent.open()
    yield agent
    agent.close()


@pytest.fixture
def start_deployment(
    tmp_path: Path, agent: RecordingAgent, start_server: Callable[..., Server]
) -> Iterator[Callable[..., Deployment]]:
    """Start a deployment on a server of its own: start_deployment(message_buffer_timeout=2)."""
    started: list[Deployment] = []

    def start(server: Server | None = None, **settings: object) -> Deployment:
        folder = tmp_path / f"deployment-{len(started)}"
        folder.mkdir()
        started.append(Deployment(folder, server or start_server(), agent, **settings))
        return started[-1]

    yield start
    for deployment in started:
        deployment.close()


@pytest.fixture
def gateway() -> Iterator[AnyInstanceStub]:
    """A stub of Evolution with any number of instances, which echoes nothing."""
    stub = AnyInstanceStub()
    stub.echoes_on = False
    stub.open()
    yield stub
    stub.close()


@pytest.fixture
def up(tmp_path: Path, agent: RecordingAgent) -> Iterator[Callable[..., Up]]:
    """Start `debouncer up` with this test's agent: up("--workers", "2", message_buffer_timeout=5)."""
    started: list[Up] = []

    def start(*arguments: str, **settings: object) -> Up:
        folder = tmp_path / f"up-{len(started)}"
        started.append(Up(folder, *arguments, **{"agent_url": agent.url, **settings}))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture(scope="session")
def shared_agent() -> Iterator[RecordingAgent]:
    """The agent of the shared deployment."""
    agent = RecordingAgent()
    agent.open()
    yield agent
    agent.close()


@pytest.fixture(scope="session")
def shared_deployment(tmp_path_factory: pytest.TempPathFactory, shared_agent: RecordingAgent) -> Iterator[Deployment]:
    """A deployment for tests that need nothing special: short retries, and people of its own for each test."""
    yield from _deployment(tmp_path_factory, shared_agent)


@pytest.fixture(scope="session")
def littered_deployment(tmp_path_factory: pytest.TempPathFactory, shared_agent: RecordingAgent) -> Iterator[Deployment]:
    """A deployment for bodies of all kinds. Some of them pause a conversation, which then waits for an hour."""
    yield from _deployment(tmp_path_factory, shared_agent)


def _deployment(folders: pytest.TempPathFactory, agent: RecordingAgent) -> Iterator[Deployment]:
    server = Server("valkey", folders.mktemp("server"), {})
    deployment = Deployment(folders.mktemp("deployment"), server, agent, **IMPATIENT)
    yield deployment
    deployment.close()
    server.stop()


@pytest.fixture(scope="session")
def shared_webhook(shared_deployment: Deployment) -> Webhook:
    """The webhook of the shared deployment: two uvicorn workers."""
    return shared_deployment.webhook(2)


@pytest.fixture(scope="session")
def shared_worker(shared_deployment: Deployment) -> Worker:
    """The worker of the shared deployment."""
    return shared_deployment.worker()


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
