"""The commands `serve`, `worker`, `check`, `health` and `sample-agent`, as their users start them."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import httpx
import pytest

from buffer.keys import Keys
from cli.checks import EXAMPLE_SECRET
from tests.integration.alive import running
from tests.integration.cluster import Cluster
from tests.integration.polling import until
from tests.integration.processes import TOKEN, Process, bearer
from tests.servers import free_port

ROOT = Path(__file__).parents[2]
ENDS_WITHIN_S = 20.0
NOWHERE = "redis://127.0.0.1:1/0"
SECRET = "a-secret-word"


@pytest.fixture
def start(tmp_path, prefix):
    """Start a command: start("serve", "--workers", "2", redis_url=...)."""
    started = []

    def run(*arguments: str, **settings: object) -> Process:
        folder = tmp_path / f"command-{len(started)}"
        folder.mkdir()
        basis = {"redis_key_prefix": prefix, "rq_queue": prefix, "generic_token": TOKEN, "log_format": "json"}
        started.append(Process([sys.executable, "-m", "cli", *arguments], {**basis, **settings}, folder))
        return started[-1]

    yield run
    for process in started:
        process.close()


@pytest.fixture
def refused(start):
    """Start a command that must be refused. Returns its output."""

    def run(*arguments: str, **settings: object) -> str:
        process = start(*arguments, **settings)
        assert process.wait(ENDS_WITHIN_S) == 2
        assert "Traceback" not in process.log
        return process.log

    return run


def ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def alive(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    except httpx.HTTPError:
        return False


def say(port: int, text: str) -> httpx.Response:
    body = {"conversation": "ana", "text": text}
    return httpx.post(f"http://127.0.0.1:{port}/webhooks/generic", json=body, headers=bearer())


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_service_needs_redis_url(refused, command):
    """Without REDIS_URL neither service starts, and the sentence names it."""
    assert "REDIS_URL is not set" in refused(command, agent_url="http://127.0.0.1:1/")


@pytest.mark.parametrize("command", ["serve", "worker", "up", "check"])
def test_impossible_settings_are_refused(refused, command):
    """Settings that can never work stop every command with a sentence that names both variables."""
    said = refused(command, redis_url=NOWHERE, message_buffer_timeout=90, message_buffer_max_wait=60)
    assert "MESSAGE_BUFFER_TIMEOUT=90" in said
    assert "MESSAGE_BUFFER_MAX_WAIT=60" in said


@pytest.mark.parametrize("command", ["serve", "worker", "check"])
def test_a_senseless_address_is_refused(refused, command):
    """A REDIS_URL that cannot be read is refused by name, before anything is tried."""
    assert "REDIS_URL: this address" in refused(command, redis_url="redis://host:word", agent_url="http://127.0.0.1:1/")


def test_the_worker_needs_agent_url(refused, valkey):
    """Without AGENT_URL the worker does not start, and the sentence holds an example."""
    said = refused("worker", redis_url=valkey.url)
    assert "AGENT_URL is not set" in said
    assert "AGENT_URL=http" in said


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_an_evicting_server_is_refused(refused, start_server, command):
    """A server that would throw messages away when full is refused by both services."""
    server = start_server(maxmemory_policy="allkeys-lru")
    assert "noeviction" in refused(command, redis_url=server.url, agent_url="http://127.0.0.1:1/")


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_another_number_of_partitions_is_refused(refused, valkey, prefix, command):
    """A process with another number of partitions refuses to start and names the right number."""
    with valkey.client() as client:
        client.hset(Keys(prefix).meta, "partitions", 3)
    assert "REDIS_PARTITIONS=3" in refused(command, redis_url=valkey.url, agent_url="http://127.0.0.1:1/")


def test_serve_says_that_its_port_is_taken(refused, valkey):
    """A taken port is named with a way out, and no webhook process is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused("serve", "--port", str(port), redis_url=valkey.url)
    assert f"PORT={port}" in said
    assert f"--port {port + 1}" in said
    assert "Started" not in said


def test_serve_with_many_workers(start, valkey):
    """Three webhook processes share one port. SIGTERM ends them all with exit code 0."""
    port = free_port()
    serve = start("serve", "--port", str(port), "--workers", "3", redis_url=valkey.url)
    until("three processes serve", lambda: serve.log.count("Application startup complete") == 3)
    pids = {line["pid"] for line in serve.log_lines() if line["event"] == "Application startup complete."}
    assert len(pids) == 3
    assert say(port, "oi").json() == {"accepted": 1, "duplicates": 0, "ignored": 0}
    serve.terminate()
    assert serve.wait(ENDS_WITHIN_S) == 0
    assert not [pid for pid in pids if running(pid)]


def test_webhook_processes_end_with_their_parent(start, valkey):
    """kill -9 of `serve` leaves no webhook process behind on the port."""
    port = free_port()
    serve = start("serve", "--port", str(port), "--workers", "2", redis_url=valkey.url)
    until("two processes serve", lambda: serve.log.count("Application startup complete") == 2)
    pids = [line["pid"] for line in serve.log_lines() if line["event"] == "Application startup complete."]
    os.kill(serve.pid, signal.SIGKILL)
    until("the webhook processes are gone", lambda: not any(running(pid) for pid in pids))


@pytest.mark.parametrize("workers", [1, 2])
def test_serve_starts_without_redis(start, workers):
    """With Redis away the webhook starts, answers 503, and still ends in order."""
    port = free_port()
    serve = start("serve", "--port", str(port), "--workers", str(workers), redis_url=NOWHERE)
    until("it answers", lambda: alive(port))
    assert say(port, "oi").status_code == 503
    serve.terminate()
    assert serve.wait(ENDS_WITHIN_S) == 0


def test_the_worker_ends_in_order(start, valkey):
    """SIGTERM ends an idle worker with exit code 0."""
    worker = start("worker", redis_url=valkey.url, agent_url="http://127.0.0.1:1/")
    until("the worker has started", lambda: "worker started" in worker.log)
    worker.terminate()
    assert worker.wait(ENDS_WITHIN_S) == 0
    assert "Traceback" not in worker.log


def test_health_of_the_webhook(start, valkey):
    """A healthy webhook is exit code 0 without output. A missing webhook is exit code 1 and one line."""
    port = free_port()
    start("serve", "--port", str(port), redis_url=valkey.url)
    until("it is ready", lambda: ready(port))
    healthy = start("health", "webhook", "--port", str(port))
    assert (healthy.wait(ENDS_WITHIN_S), healthy.log) == (0, "")
    unhealthy = start("health", "webhook", port=free_port())
    assert unhealthy.wait(ENDS_WITHIN_S) == 1
    assert unhealthy.log.count("\n") == 1
    assert unhealthy.log.startswith("webhook unhealthy:")


def test_health_of_a_webhook_without_redis(start):
    """A webhook that cannot store messages is unhealthy, and the line names Redis."""
    port = free_port()
    start("serve", "--port", str(port), redis_url=NOWHERE)
    until("it answers", lambda: alive(port))
    health = start("health", "webhook", "--port", str(port))
    assert health.wait(ENDS_WITHIN_S) == 1
    assert "Redis" in health.log


def test_health_of_the_worker(start, valkey, prefix):
    """A worker of this host is healthy. A worker of another host, an old heartbeat, or no worker is unhealthy."""
    worker = start("worker", redis_url=valkey.url, agent_url="http://127.0.0.1:1/")
    until("the worker has started", lambda: "worker started" in worker.log)
    healthy = start("health", "worker", redis_url=valkey.url)
    assert (healthy.wait(ENDS_WITHIN_S), healthy.log) == (0, "")
    with valkey.client() as client:
        (key,) = client.smembers(f"rq:workers:{prefix}")
        kept = client.hgetall(key)
        for field, value in (("hostname", "another"), ("last_heartbeat", "2020-01-01T00:00:00.000000Z")):
            client.hset(key, field, value)
            unhealthy = start("health", "worker", redis_url=valkey.url)
            assert unhealthy.wait(ENDS_WITHIN_S) == 1, field
            client.hset(key, mapping=kept)
    alone = start("health", "worker", redis_url=valkey.url, rq_queue=f"{prefix}-other")
    assert alone.wait(ENDS_WITHIN_S) == 1
    assert alone.log.startswith("worker unhealthy: no worker of host")


@pytest.mark.parametrize(
    "settings",
    [{}, {"redis_url": NOWHERE}, {"redis_url": "redis://host:word"}, {"port": "word"}, {"rq_queue": "a b"}],
)
def test_health_never_shows_a_trace(start, settings):
    """Whatever is wrong, an unhealthy worker is exit code 1 and exactly one line."""
    health = start("health", "worker", **settings)
    assert health.wait(ENDS_WITHIN_S) == 1
    assert health.log.count("\n") == 1
    assert health.log.startswith("worker unhealthy:")


def test_check_finds_nothing_wrong(start, start_server, agent):
    """If nothing is wrong, the check prints that, exits 0, and has written nothing to the server."""
    server = start_server(appendonly="yes")
    check = start("check", redis_url=server.url, agent_url=agent.url)
    assert check.wait(ENDS_WITHIN_S) == 0
    assert "All is well." in check.log
    assert "problem" not in check.log
    assert "\x1b" not in check.log
    with server.client() as client:
        assert client.dbsize() == 0


def test_check_hides_secrets(start):
    """No secret appears in the table: neither tokens, nor passwords in addresses, nor the agent's query."""
    check = start(
        "check",
        redis_url=f"redis://me:{SECRET}@127.0.0.1:1/0",
        agent_url=f"http://me:{SECRET}@127.0.0.1:1/?key={SECRET}",
        generic_token=SECRET,
        agent_secret=SECRET,
    )
    assert check.wait(ENDS_WITHIN_S) == 1
    assert SECRET not in check.log
    assert "(set, hidden)" in check.log
    assert "redis://me:***@127.0.0.1:1/0" in check.log


def test_check_names_every_problem(start, start_server, prefix):
    """Eviction, other partitions and a missing agent are each a problem. Missing persistence is a warning."""
    server = start_server(maxmemory_policy="allkeys-lru")
    with server.client() as client:
        client.hset(Keys(prefix).meta, "partitions", 3)
    check = start("check", redis_url=server.url)
    assert check.wait(ENDS_WITHIN_S) == 1
    found = [line.split()[:2] for line in check.log.splitlines() if line.startswith(("  problem", "  warning"))]
    assert found == [["problem", "memory"], ["warning", "persistence"], ["problem", "partitions"], ["problem", "agent"]]


def test_check_without_a_gateway(start, start_server, agent):
    """No open gateway is a problem: every webhook would be refused."""
    check = start("check", redis_url=start_server(appendonly="yes").url, agent_url=agent.url, generic_token="")
    assert check.wait(ENDS_WITHIN_S) == 1
    assert "no gateway is open" in check.log


def test_check_knows_the_secret_of_the_readme(start, start_server, agent):
    """A secret that stands in the README keeps nobody out."""
    check = start(
        "check", redis_url=start_server(appendonly="yes").url, agent_url=agent.url, evolution_token=EXAMPLE_SECRET
    )
    assert check.wait(ENDS_WITHIN_S) == 0
    assert check.log.count(f"EVOLUTION_TOKEN={EXAMPLE_SECRET} is an example value of the README") == 1
    assert EXAMPLE_SECRET in (ROOT / "README.md").read_text()


def test_check_of_a_cluster(start, start_server, agent):
    """The check works on a cluster and finds no problem there."""
    cluster = Cluster(start_server)
    check = start("check", redis_url=cluster.url, rq_redis_url=start_server().url, agent_url=agent.url)
    assert check.wait(ENDS_WITHIN_S) == 0, check.log
    assert "problem" not in check.log


def test_one_evicting_node_of_a_cluster_is_refused(start, refused, start_server, agent):
    """One primary that evicts keys is enough for `serve` to be refused and for `check` to show a problem."""
    cluster = Cluster(start_server)
    settings = {"redis_url": cluster.url, "rq_redis_url": start_server().url, "agent_url": agent.url}
    for node in cluster.nodes:
        with node.client() as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
        assert "allkeys-lru" in refused("serve", "--port", str(free_port()), **settings)
        check = start("check", **settings)
        assert check.wait(ENDS_WITHIN_S) == 1
        assert [line.split()[1] for line in check.log.splitlines() if line.startswith("  problem")] == ["memory"]
        with node.client() as client:
            client.config_set("maxmemory-policy", "noeviction")


def test_check_without_redis_url(start, agent):
    """Without REDIS_URL the check looks for the embedded server. An unreachable agent is a warning."""
    check = start("check", agent_url="http://127.0.0.1:1/")
    assert check.wait(ENDS_WITHIN_S) == 0
    found = [line.split()[1] for line in check.log.splitlines() if line.startswith("  warning")]
    assert found == ["agent"]
    assert "no agent listens there (connection refused" in check.log
    assert "embedded Valkey in data/: not running; `debouncer up` starts it" in check.log


def test_check_of_the_queue(start, valkey, agent):
    """A queue on a Redis of its own is tried as well."""
    check = start("check", redis_url=valkey.url, rq_redis_url=NOWHERE, agent_url=agent.url)
    assert check.wait(ENDS_WITHIN_S) == 1
    assert "problem  queue" in check.log


def test_the_sample_agent_shows_bursts(start):
    """The sample agent prints each message of a burst, hides the number, and answers with a reply."""
    port = free_port()
    agent = start("sample-agent", "--port", str(port))
    until("it listens", lambda: "AGENT_URL=" in agent.log)
    body = {
        "reason": "quiet",
        "conversation": {"id": "5511900000001", "name": "Ana"},
        "messages": [{"kind": "text", "text": "oi"}, {"kind": "image", "text": None}],
    }
    answer = httpx.post(f"http://127.0.0.1:{port}/any/path", json=body, headers={"Idempotency-Key": "k-1"})
    assert answer.json() == {"reply": "Hello Ana, I have read your 2 messages together."}
    assert httpx.post(f"http://127.0.0.1:{port}/", content=b"{}").status_code == 400
    agent.terminate()
    assert agent.wait(ENDS_WITHIN_S) == 0
    for shown in ("Ana", "2 messages", "\n  oi\n", "\n  [image]\n", "key k-1"):
        assert shown in agent.log
    assert "5511900000001" not in agent.log


def test_the_sample_agent_says_that_its_port_is_taken(refused):
    """A taken port of the sample agent is named, too."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"PORT={port}" in refused("sample-agent", "--port", str(port))
