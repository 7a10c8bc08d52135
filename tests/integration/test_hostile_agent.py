"""An agent that breaks HTTP: the worker lives on within its memory, the call is classed, and others are served."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.deployment import Deployment
from tests.integration.hostile_agent import ABRUPT, KINDS, HostileAgent
from tests.integration.hostile_answers import ACKED, ANY, RETRIED
from tests.integration.polling import until
from tests.integration.processes import Webhook, Worker
from tests.servers import Server

MEMORY_MAX_KB = 64 * 1024
"""What one answer may cost at its peak; ANSWER_MAX is one mebibyte."""

NO_HANG_S = 8.0
"""Only tells a delay from a hang."""

NEIGHBOURS = 5


class Target:
    """A deployment with one worker, whose agent is hostile."""

    def __init__(self, deployment: Deployment, agent: HostileAgent) -> None:
        self.deployment = deployment
        self.agent = agent
        self.webhook: Webhook = deployment.webhook(agent_url=agent.url)
        self.worker: Worker = deployment.worker(agent_url=agent.url)

    def memory_kb(self, field: str) -> int:
        """`VmRSS` or `VmHWM` of the worker: what it holds, and the most that it held since `forget_peak`."""
        lines = Path(f"/proc/{self.worker.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field))

    def forget_peak(self) -> None:
        """Let VmHWM begin again."""
        Path(f"/proc/{self.worker.pid}/clear_refs").write_text("5")

    def deliver(self, kind: str) -> list[str]:
        """Say a message of a person of this kind, and of neighbours while its call is made; returns its calls' keys."""
        peer = f"{kind}/person"
        self.agent.before_reading = kind
        assert self.webhook.say(peer, "oi").status_code == 200
        until("the call is made", lambda: self.agent.calls_of(peer) or self.agent.before_reading is None)
        neighbours = [f"neighbour/{kind}-{number}" for number in range(NEIGHBOURS)]
        asked_s = time.monotonic()
        self.webhook.post([{"conversation": one, "text": "oi"} for one in neighbours])
        until("the neighbours' calls are made", lambda: all(self.agent.calls_of(one) for one in neighbours))
        took_s = max(call.arrived_s for one in neighbours for call in self.agent.calls_of(one)) - asked_s
        print(f"{kind}: neighbours served after {took_s:.2f} s")
        assert took_s < NO_HANG_S
        self.deployment.wait_drained()
        assert [len(self.agent.calls_of(one)) for one in neighbours] == [1] * NEIGHBOURS
        return [call.key for call in self.agent.calls_of(peer)]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A worker that gives its agent two seconds, for all tests of this module."""
    server = Server("valkey", tmp_path_factory.mktemp("server"), {})
    agent = HostileAgent()
    patience = {"message_buffer_timeout": 0.2, "retry_base": 0.2, "agent_timeout": 2.0, "shutdown_grace": 5.0}
    deployment = Deployment(tmp_path_factory.mktemp("hostile"), server, agent, **patience)  # type: ignore[arg-type]
    yield Target(deployment, agent)
    deployment.close()
    agent.close()
    server.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_agent_harms_nobody(target: Target, kind: str) -> None:
    """The call is acked or made again with the same key, others are served meanwhile, and the memory has a bound."""
    target.forget_peak()
    before_kb = target.memory_kb("VmRSS")
    keys = target.deliver(kind)
    grown_kb = target.memory_kb("VmHWM") - before_kb
    print(f"{kind}: {len(keys)} calls, {grown_kb} KB at the peak")
    assert target.worker.alive
    assert "Traceback" not in target.worker.log
    assert len(set(keys)) == 1
    assert grown_kb < MEMORY_MAX_KB
    assert target.deployment.snapshot()["dead"] == 0
    if kind in RETRIED:
        assert len(keys) == 2
    elif kind in ACKED or kind in ABRUPT:
        assert len(keys) == 1
    else:
        assert kind in ANY
