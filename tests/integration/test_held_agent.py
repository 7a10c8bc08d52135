"""The agent fails for everyone for a while: nothing is lost or dead, no attempt is used up, and all go in order."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from buffer.held_agents import HeldAgents
from tests.integration.agent import Answer
from tests.integration.deployment import Deployment
from tests.integration.polling import until
from tests.integration.processes import Webhook

PEOPLE = [f"55119000001{number:02}" for number in range(60)]
CONCURRENCY = 4
SETTINGS: dict[str, Any] = {
    "message_buffer_timeout": 0.1,
    "agent_max_attempts": 6,
    "worker_concurrency": CONCURRENCY,
    "retry_base": 0.3,
    "retry_max": 1.0,
}

OPENED = "fails for everyone: its calls are held"
CLOSED = "works again: what waited for it is delivered"


def waiting(deployment: Deployment) -> int:
    """How many batches wait for the agent."""
    held = deployment.ask(lambda store: HeldAgents(store).now()).held
    return sum(one.waiting for one in held)


def check_what_people_see(deployment: Deployment, webhook: Webhook, reason: str) -> None:
    """The probe, the metrics and `status` tell of the outage; only `status` tells why and where."""
    assert webhook.get("/readyz").json()["detail"].startswith("1 agent fails for everyone; ")
    address = deployment.agent.url.removesuffix("/agent")
    assert f'debouncer_agent_held{{agent="{address}"}} 1.0' in webhook.get("/metrics").text
    status = deployment.run([sys.executable, "-m", "cli", "status"])
    assert status.wait() == 0
    assert reason in status.log
    assert "fails for everyone since" in status.log


def lines(deployment_logs: list[str], sentence: str) -> int:
    return sum(log.count(sentence) for log in deployment_logs)


@pytest.mark.parametrize("how", ["refused", "500", "404"])
def test_an_outage_uses_up_no_attempt(start_deployment: Callable[..., Deployment], how: str) -> None:
    """Two workers hold the calls for all people, probe, and deliver when it works: the oldest first, few at once."""
    deployment = start_deployment(**SETTINGS)
    agent, webhook, workers = deployment.agent, deployment.webhook(), deployment.workers(2)
    if how == "refused":
        agent.shut()
    else:
        agent.default = Answer(int(how))
    for who in PEOPLE:
        webhook.say(who, "oi", message_id="m1")
    until("all wait", lambda: waiting(deployment) >= len(PEOPLE) - 10)
    check_what_people_see(deployment, webhook, "nobody listens" if how == "refused" else f"answered {how}")
    before = len(agent.calls)
    until("probes were made, or time for three", lambda: len(agent.calls) >= before + 3 or how == "refused")
    webhook.say(PEOPLE[0], "ainda?", message_id="m2")
    agent.default = Answer(delay_s=0.05)
    agent.most_at_once = 0
    drained_from = len(agent.calls)
    if how == "refused":
        agent.open()
    deployment.wait_drained()
    assert webhook.get("/readyz").json() == {"status": "ok"}
    assert deployment.snapshot()["dead"] == 0
    assert deployment.counters()["acked"] == len(PEOPLE) + 1
    assert agent.most_at_once <= 2 * CONCURRENCY
    logs = [worker.log for worker in workers]
    assert (lines(logs, OPENED), lines(logs, CLOSED)) == (1, 1)
    delivered = [call for call in agent.calls[drained_from:] if call.texts == ["oi"]]
    assert Counter(call.peer for call in delivered) == Counter(PEOPLE)
    places = {who: place for place, who in enumerate(PEOPLE)}
    jumps = [places[call.peer] - place for place, call in enumerate(delivered)]
    assert sum(abs(jump) > 4 * CONCURRENCY for jump in jumps) <= 10  # some were between two attempts when it opened
    assert len(agent.calls[:drained_from]) < len(PEOPLE)


def test_a_worker_that_starts_during_an_outage(start_deployment: Callable[..., Deployment]) -> None:
    """It finds in Redis what is held, and wakes what waits when the agent works."""
    deployment = start_deployment(**SETTINGS)
    deployment.agent.default = Answer(401)
    webhook, worker = deployment.webhook(), deployment.worker()
    for who in PEOPLE[:20]:
        webhook.say(who, "oi", message_id="m1")
    until("some wait", lambda: waiting(deployment) >= 10)
    worker.kill()
    deployment.agent.default = Answer()
    deployment.worker()
    deployment.wait_drained()
    assert deployment.counters()["acked"] == 20
    assert deployment.snapshot()["dead"] == 0


def test_an_agent_that_was_replaced(start_deployment: Callable[..., Deployment]) -> None:
    """What waited for the old address goes to the new one at once."""
    deployment = start_deployment(**SETTINGS)
    webhook = deployment.webhook()
    worker = deployment.worker(agent_url="http://127.0.0.1:9/agent")
    for who in PEOPLE[:20]:
        webhook.say(who, "oi", message_id="m1")
    until("some wait", lambda: waiting(deployment) >= 10)
    worker.terminate()
    worker.wait()
    deployment.worker()
    deployment.wait_drained()
    assert len(deployment.agent.flushes()) == 20
