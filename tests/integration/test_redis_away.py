"""Redis is down, frozen, full or unfit: the gateway is told to come back, and nothing is half stored."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.integration.agent import Answer
from tests.integration.deployment import Deployment
from tests.integration.polling import until
from tests.integration.processes import Webhook
from tests.servers import Server

NO_HANG_S = 8.0
"""A gateway must hear within 2 s, which is measured and put on record; this only tells an answer from a hang."""

OUTAGES = {"refused": (Server.kill, Server.restart), "frozen": (Server.freeze, Server.thaw)}


def accepted(webhook: Webhook, peer: str, message_id: str) -> bool:
    """Post a message; whether it was accepted, and if not, that the gateway is told to come back."""
    response = webhook.say(peer, "oi", message_id=message_id)
    if response.status_code == 200:
        return True
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) >= 1
    assert response.json()["error"] == "unavailable"
    return False


@pytest.mark.parametrize("outage", OUTAGES)
def test_while_redis_is_away_the_gateway_is_told_to_come_back(
    start_deployment: Callable[..., Deployment], peer: str, record_property: Callable[[str, object], None], outage: str
) -> None:
    """503 with Retry-After instead of a hang, also on the probe; once Redis is back the same processes accept."""
    leave, come_back = OUTAGES[outage]
    deployment = start_deployment()
    webhook = deployment.webhook()
    assert accepted(webhook, peer, "m1")
    leave(deployment.server)
    for number in range(2):
        asked = time.monotonic()
        assert not accepted(webhook, peer, "m2")
        took_s = time.monotonic() - asked
        record_property(f"refused_after_s_{number}", round(took_s, 2))
        print(f"{outage}: 503 after {took_s:.2f} s")
        assert took_s < NO_HANG_S
    assert webhook.get("/readyz").status_code == 503
    assert webhook.get("/healthz").status_code == 200
    come_back(deployment.server)
    until("the webhook accepts again", lambda: accepted(webhook, peer, "m2"))
    assert webhook.get("/readyz").status_code == 200
    assert len(webhook.pids()) == 1


def test_a_webhook_that_starts_before_redis(start_deployment: Callable[..., Deployment], peer: str) -> None:
    """It answers 503 until Redis is there, then accepts without a restart."""
    deployment = start_deployment()
    deployment.server.stop()
    webhook = deployment.webhook()
    assert not accepted(webhook, peer, "m1")
    deployment.server.restart()
    until("the webhook accepts", lambda: accepted(webhook, peer, "m1"))


def test_a_worker_that_starts_before_redis(start_deployment: Callable[..., Deployment], peer: str) -> None:
    """It waits, says so, and delivers what is there once Redis is."""
    deployment = start_deployment()
    deployment.server.stop()
    worker = deployment.worker(ready=False)
    until("the worker says that it waits", lambda: "waiting for Redis" in worker.log or not worker.alive)
    deployment.server.restart()
    worker.wait_ready()
    assert accepted(deployment.webhook(), peer, "m1")
    deployment.wait_calls(peer)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_full_server_refuses_messages_and_drains(start_deployment: Callable[..., Deployment], moment: str) -> None:
    """maxmemory with noeviction: new messages get 503 and leave no trace, those accepted before are delivered."""
    deployment = start_deployment()
    webhook = deployment.webhook()
    if moment == "before":
        deployment.worker()
    people = [f"person-{number}" for number in range(30)]
    webhook.post([{"conversation": one, "text": "oi", "message_id": "m1"} for one in people])
    deployment.redis.config_set("maxmemory", "1")
    assert not any(accepted(webhook, one, "m2") for one in people[:3])
    assert not accepted(webhook, "somebody new", "m1")
    assert deployment.conversation("somebody new") == {}
    if moment == "after":
        deployment.worker()
    deployment.wait_drained()
    assert sorted(call.peer for call in deployment.agent.calls) == sorted(people)
    assert all(call.ids == ["m1"] for call in deployment.agent.calls)
    deployment.redis.config_set("maxmemory", "0")
    assert accepted(webhook, people[0], "m2")
    deployment.wait_calls(people[0], 2)
    assert [call.ids for call in deployment.agent.calls_of(people[0])] == [["m1"], ["m2"]]


def test_a_server_that_fills_up_while_jobs_wait(start_deployment: Callable[..., Deployment]) -> None:
    """RQ's queue stands on the full server, and is full itself: its jobs are taken, for only that makes room."""
    deployment = start_deployment(message_buffer_timeout=0.3, worker_concurrency=3)
    deployment.agent.default = Answer(held=True)
    webhook = deployment.webhook()
    deployment.worker()
    people = [f"person-{number}" for number in range(20)]
    webhook.post([{"conversation": one, "text": "oi", "message_id": "m1"} for one in people])
    until("twice as many wait as are in hand", lambda: deployment.redis.llen("rq:queue:flush") == 6)
    deployment.redis.config_set("maxmemory", "1")
    deployment.agent.release()
    deployment.wait_drained()
    assert sorted(call.peer for call in deployment.agent.calls) == sorted(people)


def test_a_server_that_fills_up_during_calls(start_deployment: Callable[..., Deployment], peer: str) -> None:
    """Leases are renewed and answers kept on a full server: the call in flight is not made again."""
    deployment = start_deployment(flush_lease=1.5, flush_renew_interval=0.5, message_buffer_timeout=0.3)
    deployment.agent.answer(peer, Answer(200, b'{"reply": "pronto"}', "application/json", delay_s=4.0))
    webhook = deployment.webhook()
    deployment.workers(2)
    assert accepted(webhook, peer, "m1")
    deployment.wait_calls(peer)
    deployment.redis.config_set("maxmemory", "1")
    deployment.wait_drained()
    assert len(deployment.agent.calls) == 1


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_an_evicting_server_is_refused_at_start(
    start_deployment: Callable[..., Deployment], start_server: Callable[..., Server], policy: str
) -> None:
    """Webhook and worker do not start on a server that may throw messages away, and say which setting to change."""
    deployment = start_deployment(start_server(maxmemory_policy=policy))
    for process in (deployment.webhook(ready=False), deployment.worker(ready=False)):
        assert process.wait() != 0
        assert f"maxmemory-policy {policy}" in process.log
        assert "noeviction" in process.log
        assert "Traceback" not in process.log
