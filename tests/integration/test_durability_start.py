"""DURABILITY at the start of each command: an impossible one is refused, and `check` shows the same problem."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.agent import RecordingAgent
from tests.integration.polling import until
from tests.integration.processes import TOKEN, Process
from tests.replicas import follow
from tests.servers import Server, free_port

ENDS_WITHIN_S = 20.0
NOBODY = "http://127.0.0.1:1/"
ALWAYS = {"appendonly": "yes", "appendfsync": "always"}
CLUSTER = "redis+cluster://127.0.0.1:1"


@pytest.fixture
def start(tmp_path: Path, prefix: str) -> Iterator[Callable[..., Process]]:
    """Start a command: start("serve", redis_url=...)."""
    started: list[Process] = []

    def run(*arguments: str, **settings: object) -> Process:
        folder = tmp_path / f"command-{len(started)}"
        folder.mkdir()
        basis = {"redis_key_prefix": prefix, "rq_queue": prefix, "generic_token": TOKEN, "agent_url": NOBODY}
        started.append(Process([sys.executable, "-m", "cli", *arguments], {**basis, **settings}, folder))
        return started[-1]

    yield run
    for process in started:
        process.close()


def output_of(process: Process, status: int) -> str:
    """Wait until a command ends with this status and return its output."""
    assert process.wait(ENDS_WITHIN_S) == status, process.log
    assert "Traceback" not in process.log
    return process.log


@pytest.mark.parametrize(
    ("kind", "config", "sentence"),
    [
        ("redis7", ALWAYS, "DURABILITY=disk needs WAITAOF"),
        ("valkey", {}, "set its appendonly yes and appendfsync always"),
        ("valkey", {**ALWAYS, "appendfsync": "everysec"}, "set its appendfsync always"),
    ],
)
def test_a_server_that_cannot_keep_it_is_refused(
    start: Callable[..., Process], start_server: Callable[..., Server], kind: str, config: dict[str, str], sentence: str
) -> None:
    """`serve` and `up` do not start, `check` names the problem, and the worker drains all the same."""
    settings = {"redis_url": start_server(kind, **config).url, "durability": "disk"}
    for command in ("serve", "up"):
        assert sentence in output_of(start(command, "--port", str(free_port()), **settings), 2)
    checked = output_of(start("check", **settings), 1)
    assert [line.split()[1] for line in checked.splitlines() if line.startswith("  problem")] == ["durability"]
    worker = start("worker", **settings)
    until("the worker has started", lambda: "worker started" in worker.log or not worker.alive)
    assert worker.alive, worker.log


@pytest.mark.parametrize("command", ["serve", "worker", "up", "check"])
def test_a_cluster_is_refused(start: Callable[..., Process], command: str) -> None:
    """Every command refuses DURABILITY on a cluster, before it connects."""
    said = output_of(start(command, redis_url=CLUSTER, rq_redis_url="redis://127.0.0.1:1", durability="replica"), 2)
    assert "DURABILITY=replica cannot be kept on a cluster" in said


def test_the_embedded_server_has_no_replica(start: Callable[..., Process]) -> None:
    """`up` without REDIS_URL refuses to wait for a replica, and `check` shows the same problem."""
    sentence = "DURABILITY=replica: the embedded server has none"
    assert sentence in output_of(start("up", "--port", str(free_port()), durability="replica"), 2)
    assert sentence in output_of(start("check", durability="replica"), 1)


def test_the_embedded_server_syncs_when_it_must(start: Callable[..., Process]) -> None:
    """`up` with DURABILITY=disk starts its own server so that it can be kept."""
    up = start("up", "--port", str(free_port()), durability="disk")
    until("it is up", lambda: "debouncer is up" in up.log or not up.alive)
    assert up.alive, up.log
    assert "cannot be stored" not in up.log


def test_check_shows_what_is_kept(
    start: Callable[..., Process], start_server: Callable[..., Server], agent: RecordingAgent
) -> None:
    """The check shows when 2xx is sent, and warns of a missing replica. Nothing is written."""
    server, replica = start_server(**ALWAYS), start_server()
    settings: dict[str, Any] = {"redis_url": server.url, "agent_url": agent.url}
    for durability, words in (("memory", "the server has"), ("disk", "on the server's disk")):
        checked = output_of(start("check", durability=durability, **settings), 0)
        assert f"DURABILITY={durability}: 2xx is sent when" in checked
        assert words in checked
    assert "no replica is connected" in output_of(start("check", durability="replica", **settings), 0)
    with server.client() as client:
        assert client.dbsize() == 0
    follow(replica, server)
    assert "a replica has the message, too" in output_of(start("check", durability="replica", **settings), 0)
