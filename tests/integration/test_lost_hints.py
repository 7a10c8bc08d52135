"""Events, scripts and RQ's keys vanish while people write: nothing is lost, nothing later than the visibility time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from buffer.keys import ref_of
from tests.integration.agent import Answer
from tests.integration.checker import Rules, Verdict, judge
from tests.integration.deployment import Deployment, person
from tests.integration.fault_injector import FaultInjector
from tests.integration.polling import until
from tests.integration.sender import Sender, crowd, waves
from tests.servers import Server

VISIBILITY_S = 3.0
LOSSES = 4
BUSY_MS = 10_000
"""What a busy machine may add to the visibility time."""

Check = Callable[[Deployment, Sender, int], None]


@pytest.fixture
def check(report: Callable[[Verdict], None]) -> Check:
    """Every burst once, in order, and none later than the visibility time."""

    def run(deployment: Deployment, sender: Sender, people: int) -> None:
        deployment.wait_drained()
        verdict = judge(sender.sent, deployment.agent.calls, Rules())
        report(verdict)
        assert verdict.problems == []
        assert verdict.one_for_each(people)
        assert verdict.percentile(1) < VISIBILITY_S * 1000 + BUSY_MS + deployment.agent.stalled_ms

    return run


def silence(server: Server) -> None:
    """Switch keyspace notifications off, as an administrator might."""
    with server.client() as client:
        client.config_set("notify-keyspace-events", "")


def forget_scripts(server: Server) -> None:
    """Drop every script from the server's cache."""
    with server.client() as client:
        client.script_flush()


def delete_rq(server: Server) -> None:
    """Delete every key of RQ: its queue, jobs, registries and workers."""
    with server.client() as client:
        if keys := list(client.scan_iter("rq:*", count=1000)):
            client.delete(*keys)


def cut_subscriptions(server: Server) -> None:
    """Close every pub/sub connection: events of this moment are gone."""
    with server.client() as client:
        client.client_kill_filter(_type="pubsub")


@pytest.mark.parametrize("lose", [silence, forget_scripts, delete_rq, cut_subscriptions])
def test_nothing_depends_on_it(
    start_deployment: Callable[..., Deployment], check: Check, lose: Callable[[Server], None]
) -> None:
    """Lost again and again under load, with jobs waiting in RQ's queue: every burst comes once."""
    deployment = start_deployment(visibility_time=VISIBILITY_S, worker_concurrency=2)
    deployment.agent.default = Answer(delay_s=0.1)
    webhook = deployment.webhook(2)
    deployment.workers(2)
    sender = Sender(webhook)
    with FaultInjector(lambda: lose(deployment.server), every_s=0.2) as storm:
        sender.play_until(lambda: storm.has_injected(LOSSES), waves(100, 3, gap_s=0.5, spread_s=0.5))
        deployment.wait_drained()
    check(deployment, sender, sender.people)


def test_a_server_that_forbids_config(start_deployment: Callable[..., Deployment], check: Check) -> None:
    """A managed server allows no CONFIG, so there are no expiry events; the worker says so and flushes all the same."""
    deployment = start_deployment(visibility_time=VISIBILITY_S)
    deployment.redis.acl_setuser(
        "managed", enabled=True, nopass=True, keys=["*"], channels=["*"], categories=["+@all"], commands=["-config"]
    )
    url = deployment.server.url.replace("redis://", "redis://managed:any@")
    webhook, worker = deployment.webhook(2, redis_url=url), deployment.worker(redis_url=url)
    sender = Sender(webhook)
    sender.play(crowd(20, 3, gap_s=0.3))
    check(deployment, sender, 20)
    assert "notify-keyspace-events" in worker.log


@pytest.mark.parametrize("how", ["flushed", "stopped"])
def test_rq_on_a_server_of_its_own_may_lose_everything(
    start_deployment: Callable[..., Deployment], start_server: Callable[..., Server], check: Check, how: str
) -> None:
    """RQ_REDIS_URL names another server; it is flushed again and again, or goes for good: nothing is lost."""
    other = start_server()
    deployment = start_deployment(rq_redis_url=other.url, visibility_time=VISIBILITY_S, worker_concurrency=2)
    deployment.agent.default = Answer(delay_s=0.1)
    webhook = deployment.webhook()
    deployment.workers(2)

    def flush() -> None:
        with other.client() as client:
            client.flushall()

    sender = Sender(webhook)
    with FaultInjector(flush if how == "flushed" else other.stop, every_s=0.5):
        sender.play(crowd(60, 3, gap_s=0.5, spread_s=0.3))
        deployment.wait_drained()
    check(deployment, sender, 60)


def test_rq_on_a_server_that_refuses_writes(
    start_deployment: Callable[..., Deployment], start_server: Callable[..., Server]
) -> None:
    """It answers reads, as after a failed snapshot: nobody can take its jobs, so people are called without them."""
    other = start_server()
    deployment = start_deployment(rq_redis_url=other.url, visibility_time=VISIBILITY_S, worker_concurrency=3)
    deployment.agent.default = Answer(held=True)
    deployment.worker()
    webhook = deployment.webhook()
    people = [f"person-{number}" for number in range(20)]
    webhook.post([{"conversation": one, "text": "oi", "message_id": "m1"} for one in people])
    with other.client() as client:
        until("twice as many wait as are in hand", lambda: client.llen("rq:queue:flush") == 6)
        client.config_set("min-replicas-to-write", 1)
        deployment.agent.release()
        deployment.wait_drained()
        assert sorted(call.peer for call in deployment.agent.calls) == sorted(people)
        assert client.llen("rq:queue:flush") == 6
        client.config_set("min-replicas-to-write", 0)
        until("RQ's queue is worked off again", lambda: client.llen("rq:queue:flush") == 0)


def test_a_lost_wake_entry_is_put_back_by_its_timer(start_deployment: Callable[..., Deployment], peer: str) -> None:
    """The worker's own repair comes once a minute at most; the expired timer key names the conversation long before."""
    deployment = start_deployment(message_buffer_timeout=2.0)
    worker = deployment.worker()
    until("the first repair is over", lambda: deployment.redis.exists("deb:repaired:soon"))
    deployment.webhook().say(peer, "oi")
    assert deployment.redis.zrem("deb:{p0}:wake", ref_of(person(peer), 1).hash)
    deployment.wait_calls(peer)
    deployment.wait_drained()
    assert "wake index repaired" in worker.log
    assert len(deployment.agent.calls) == 1
