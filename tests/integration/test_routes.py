"""Routes over real processes: two channels with other agents and windows never mix, also while the file changes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.agent import Call, RecordingAgent
from tests.integration.deployment import Deployment
from tests.integration.polling import until
from tests.integration.processes import SERVE, WORKER, Process, Webhook
from tests.servers import free_port

RELOADED, REFUSED = "routes reloaded", "the routes file cannot be used"
SECRETS = {"ROUTE_SECRET_A": "secret-of-a", "ROUTE_SECRET_B": "secret-of-b"}


class Shops:
    """Two channels, `a` and `b`, each with an agent of its own; the deployment's agent gets what is in no table."""

    def __init__(self, folder: Path, agents: list[RecordingAgent]) -> None:
        self.file = folder / "routes.toml"
        self.agents = agents
        self.write()

    def write(self, agent_of_b: int = 1, window: float = 0.4, more: str = "") -> None:
        """Write the file: `b` goes to another agent of the list after a change."""
        self.file.write_text(
            f"""
            [generic.a]
            agent_url = "{self.agents[0].url}"
            agent_secret = "env:ROUTE_SECRET_A"
            window = {window}
            separator = " | "
            [generic.b]
            agent_url = "{self.agents[agent_of_b].url}"
            agent_secret = "env:ROUTE_SECRET_B"
            window = 1.2
            max_messages = 3
            {more}
            """,
            encoding="utf-8",
        )


@pytest.fixture
def shops(tmp_path: Path) -> Iterator[Shops]:
    agents = [RecordingAgent() for _ in range(3)]
    for agent in agents:
        agent.open()
    yield Shops(tmp_path, agents)
    for agent in agents:
        agent.close()


@pytest.fixture
def deployment(start_deployment: Callable[..., Deployment], shops: Shops) -> Deployment:
    return start_deployment(routes_file=str(shops.file), **SECRETS)


class Crowd:
    """People who write to both channels until they are told to stop."""

    def __init__(self, webhook: Webhook) -> None:
        self._webhook = webhook
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self.sent: list[tuple[str, str]] = []
        self.sent_after: list[str] = []
        self._thread.start()

    def _write(self) -> None:
        number = 0
        while not self._stopped.wait(0.01):
            channel = "ab"[number % 2]
            text = f"{channel}-{number:05d}"
            response = self._webhook.say(f"{channel}{number // 6:04d}", text, message_id=text, channel=channel)
            assert response.status_code == 200, response.text
            self.sent.append((channel, text))
            number += 1

    def stop(self) -> None:
        """Stop writing."""
        self._stopped.set()
        self._thread.join()


def texts(calls: list[Call]) -> list[str]:
    return [text for call in calls for text in call.texts]


def channels(calls: list[Call]) -> set[str]:
    return {call.content["conversation"]["channel"] for call in calls}


def wait_for(processes: list[Process], event: str, count: int, lines: int = 1) -> None:
    """Wait until `count` processes of these have this many lines with an event."""
    until(f"{event} in every process", lambda: sum(one.log.count(event) for one in processes) >= count * lines)


def test_two_routes_never_mix_through_a_reload(deployment: Deployment, shops: Shops) -> None:
    """Each agent gets only its channel's messages, each message once, while a good and a broken file come by."""
    webhook, workers = deployment.webhook(2), deployment.workers(2)
    processes: list[Process] = [webhook, *workers]
    crowd = Crowd(webhook)
    until("both agents have calls", lambda: all(len(agent.calls) > 10 for agent in shops.agents[:2]))
    shops.write(more="windw = 3")
    wait_for(processes, REFUSED, 4)
    before = len(crowd.sent)
    until("traffic goes on", lambda: len(crowd.sent) > before + 50)
    shops.write(agent_of_b=2, window=0.6)
    wait_for(processes, RELOADED, 4)
    settled = len(crowd.sent)
    until("the new agent has calls", lambda: len(shops.agents[2].calls) > 10)
    crowd.stop()
    deployment.wait_drained()
    a, b, c = (agent.calls for agent in shops.agents)
    assert (channels(a), channels(b), channels(c)) == ({"a"}, {"b"}, {"b"})
    assert deployment.agent.calls == []
    assert sorted(texts([*a, *b, *c])) == sorted(text for _, text in crowd.sent)
    assert all(len(call.ids) <= 3 for call in [*b, *c])
    assert all(call.content["text"] == " | ".join(call.texts) for call in a)
    assert any(len(call.ids) > 1 for call in a)
    assert all(call.attempt == 1 for call in [*a, *b, *c])
    late = {text for channel, text in crowd.sent[settled:] if channel == "b"}
    assert late
    assert late & set(texts(b)) == set()


def test_sighup_reloads_without_a_restart(deployment: Deployment, shops: Shops) -> None:
    """SIGHUP to the supervisor and to the worker makes every process read the file, and none is started anew."""
    webhook, worker = deployment.webhook(2, options=SERVE), deployment.worker()
    pids = webhook.pids()
    webhook.signal(signal.SIGHUP)
    worker.signal(signal.SIGHUP)
    wait_for([webhook, worker], RELOADED, 3)
    assert webhook.pids() == pids
    assert webhook.say("ana", "oi", channel="a").status_code == 200
    until("the call", lambda: shops.agents[0].calls)


def test_without_a_file_sighup_keeps_its_meaning(start_deployment: Callable[..., Deployment]) -> None:
    """A worker without routes ends at SIGHUP, as when its terminal is closed."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup a child would inherit that it is ignored
    worker = start_deployment().worker()
    signal.signal(signal.SIGHUP, before)
    worker.signal(signal.SIGHUP)
    assert worker.wait() == -signal.SIGHUP


def test_disabled_route_is_heard_no_more(deployment: Deployment, shops: Shops) -> None:
    """After `enabled = false` messages are answered with 200 and dropped; what was buffered before is delivered."""
    webhook, worker = deployment.webhook(), deployment.worker()
    assert webhook.say("ana", "before", channel="b").json()["accepted"] == 1
    shops.write(more="enabled = false")
    webhook.signal(signal.SIGHUP)
    worker.signal(signal.SIGHUP)
    wait_for([webhook, worker], RELOADED, 2)
    assert webhook.say("ana", "after", channel="b").json() == {"accepted": 0, "duplicates": 0, "ignored": 1}
    deployment.wait_drained()
    assert texts(shops.agents[1].calls) == ["before"]
    assert "of a channel whose route has enabled = false" in webhook.log


@pytest.mark.parametrize("command", [[*WORKER], [*WORKER[:-1], "serve", "--port", str(free_port()), "--workers", "2"]])
def test_broken_file_stops_the_start(deployment: Deployment, shops: Shops, command: list[str]) -> None:
    """At start a mistake in the file is exit code 2 and a sentence with file, table and key."""
    shops.write(more="windw = 3")
    process = deployment.run(command)
    assert process.wait() == 2
    assert f"{shops.file}: [generic.b] windw: is no key of a route; did you mean window?" in process.log


def test_route_without_an_agent_stops_the_worker(deployment: Deployment, shops: Shops) -> None:
    """A worker whose routes do not all have an agent says which one, and does not start."""
    process = deployment.run(WORKER, agent_url="")
    assert process.wait() == 2
    assert "the route default has no agent" in process.log
    shops.write(more="[default]\nenabled = false")
    until("the worker has started", lambda: "worker started" in deployment.worker(agent_url="").log)


def test_check_shows_one_route(deployment: Deployment, shops: Shops) -> None:
    """`check` prints what the file changes, and of one route every value with its source, without a secret."""
    check = deployment.run([*WORKER[:-1], "check", "generic/a"])
    assert check.wait() == 0
    rows = {line.split()[0]: line.split()[1:] for line in check.log.splitlines() if line.startswith("  ")}
    assert rows["window"] == ["0.4", "[generic.a]"]
    assert rows["agent_secret"] == ["(set,", "hidden)", "[generic.a]"]
    assert rows["retry_base"] == ["0.3", "RETRY_BASE"]
    assert rows["max_wait"] == ["20", "MESSAGE_BUFFER_MAX_WAIT"]
    assert rows["max_bytes"] == ["262144", "default"]
    assert "answers are not sent: set GENERIC_REPLY_URL" in check.log
    every = deployment.run([*WORKER[:-1], "check"])
    every.wait()
    assert f"Routes of {shops.file}" in every.log
    assert [secret for secret in SECRETS.values() if secret in check.log + every.log] == []
