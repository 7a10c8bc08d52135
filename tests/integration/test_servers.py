"""The same bursts on every server we promise: Valkey, Redis 7, Redis 6.2, partitions, and a cluster."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from tests.integration.agent import Answer
from tests.integration.checker import Rules, Verdict, judge
from tests.integration.cluster import Cluster
from tests.integration.deployment import CRASHES, Deployment
from tests.integration.fault_injector import FaultInjector
from tests.integration.sender import Sender, crowd, waves
from tests.servers import KINDS, Server

PARTITIONS = 6
CHANNELS = 12
MOVES = 3


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_server_will_do(
    start_deployment: Callable[..., Deployment], start_server: Callable[..., Server], kind: str
) -> None:
    """Bursts are whole, in time, and survive a worker that is killed with calls under way."""
    deployment = start_deployment(start_server(kind), **CRASHES)
    deployment.agent.default = Answer(delay_s=0.5)
    webhook = deployment.webhook(2)
    doomed, _ = deployment.workers(2)
    sender = Sender(webhook)
    with FaultInjector(doomed.kill, every_s=1.6):
        sender.play(crowd(30, 3, gap_s=0.3, spread_s=1.5))
        deployment.wait_drained()
    verdict = judge(sender.sent, deployment.agent.calls, Rules(repeats=True))
    assert verdict.problems == []
    assert verdict.one_for_each(30)


def test_many_partitions_are_served(
    start_deployment: Callable[..., Deployment], report: Callable[[Verdict], None]
) -> None:
    """Our numbers spread over the partitions, and every partition is dispatched in time."""
    deployment = start_deployment(redis_partitions=PARTITIONS)
    webhook = deployment.webhook(2)
    deployment.workers(2)
    sender = Sender(webhook, channels=CHANNELS)
    sender.play(crowd(60, 3, gap_s=0.3, spread_s=1.0))
    deployment.wait_drained()
    verdict = judge(sender.sent, deployment.agent.calls, Rules())
    report(verdict)
    assert verdict.problems == []
    assert verdict.one_for_each(60)
    assert len({key.split("-")[0] for key in deployment.agent.flushes()}) > 1


@pytest.fixture
def on_cluster(
    start_deployment: Callable[..., Deployment], start_server: Callable[..., Server]
) -> Callable[..., tuple[Deployment, Cluster]]:
    """A deployment whose messages lie in a cluster, and RQ on a server of its own."""

    def make(**settings: object) -> tuple[Deployment, Cluster]:
        cluster, rq_server = Cluster(start_server), start_server()
        urls = {"redis_url": cluster.url, "rq_redis_url": rq_server.url}
        deployment = start_deployment(rq_server, redis_partitions=PARTITIONS, **urls, **settings)
        deployment.redis = cluster.client()
        return deployment, cluster

    return make


def test_a_cluster_will_do(
    on_cluster: Callable[..., tuple[Deployment, Cluster]], report: Callable[[Verdict], None]
) -> None:
    """Three primaries hold the partitions; no script crosses slots, every burst is one call."""
    deployment, cluster = on_cluster()
    webhook = deployment.webhook(2)
    deployment.workers(2)
    sender = Sender(webhook, channels=CHANNELS)
    sender.play(crowd(60, 3, gap_s=0.3, spread_s=1.0))
    deployment.wait_drained()
    verdict = judge(sender.sent, deployment.agent.calls, Rules())
    report(verdict)
    assert verdict.problems == []
    assert verdict.one_for_each(60)
    assert len({cluster.owner(f"deb:{{p{partition}}}:wake") for partition in range(PARTITIONS)}) > 1


def test_slots_may_move_in_mid_traffic(
    on_cluster: Callable[..., tuple[Deployment, Cluster]], report: Callable[[Verdict], None]
) -> None:
    """A partition's slot moves from server to server while people write: nothing is lost."""
    deployment, cluster = on_cluster()
    deployment.agent.default = Answer(delay_s=0.2)
    webhook = deployment.webhook(2)
    deployment.workers(2)
    sender = Sender(webhook, channels=CHANNELS)
    moved = itertools.cycle(range(PARTITIONS))
    with FaultInjector(lambda: cluster.move(f"deb:{{p{next(moved)}}}:wake"), every_s=0.3) as storm:
        sender.play_until(lambda: storm.has_injected(MOVES), waves(60, 4, gap_s=0.6, spread_s=3.0))
        deployment.wait_drained()
    verdict = judge(sender.sent, deployment.agent.calls, Rules(repeats=True))
    report(verdict)
    print(f"{storm.injections} slots moved, answers to posts: {dict(sender.statuses)}")
    assert verdict.problems == []
