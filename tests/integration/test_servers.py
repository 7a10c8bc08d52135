"""The same bursts on every server we promise: Valkey, Redis 7, Redis 6.2, partitions, and a cluster."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.agent import Answer
from tests.integration.checker import Rules, Verdict, judge
from tests.integration.cluster import Cluster
from tests.integration.deployment import CRASHES, Fleet
from tests.integration.fault_injector import Storm
from tests.integration.sender import Sender, crowd
from tests.servers import KINDS, Server

PARTITIONS = 6
CHANNELS = 12


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_server_will_do(
    start_fleet: Callable[..., Fleet], start_server: Callable[..., Server], kind: str
) -> None:
    """Bursts are whole, in time, and survive a worker that is killed with calls under way."""
    fleet = start_fleet(start_server(kind), **CRASHES)
    fleet.agent.default = Answer(delay_s=0.5)
    webhook = fleet.webhook(2)
    doomed, _ = fleet.workers(2)
    sender = Sender(webhook)
    with Storm(doomed.kill, every_s=1.6):
        sender.play(crowd(30, 3, gap_s=0.3, spread_s=1.5))
        fleet.wait_drained()
    verdict = judge(sender.sent, fleet.agent.calls, Rules(repeats=True))
    assert verdict.problems == []
    assert verdict.one_for_each(30)


def test_many_partitions_are_served(start_fleet: Callable[..., Fleet], report: Callable[[Verdict], None]) -> None:
    """Our numbers spread over the partitions, and every partition is dispatched in time."""
    fleet = start_fleet(redis_partitions=PARTITIONS)
    webhook = fleet.webhook(2)
    fleet.workers(2)
    sender = Sender(webhook, channels=CHANNELS)
    sender.play(crowd(60, 3, gap_s=0.3, spread_s=1.0))
    fleet.wait_drained()
    verdict = judge(sender.sent, fleet.agent.calls, Rules())
    report(verdict)
    assert verdict.problems == []
    assert verdict.one_for_each(60)
    assert len({key.split("-")[0] for key in fleet.agent.flushes()}) > 1


@pytest.fixture
def on_cluster(
    start_fleet: Callable[..., Fleet], start_server: Callable[..., Server]
) -> Callable[..., tuple[Fleet, Cluster]]:
    """A fleet whose messages lie in a cluster, and RQ on a server of its own."""

    def make(**settings: object) -> tuple[Fleet, Cluster]:
        cluster, rq_server = Cluster(start_server), start_server()
        urls = {"redis_url": cluster.url, "rq_redis_url": rq_server.url}
        fleet = start_fleet(rq_server, redis_partitions=PARTITIONS, **urls, **settings)
        fleet.redis = cluster.client()
        return fleet, cluster

    return make


def test_a_cluster_will_do(on_cluster: Callable[..., tuple[Fleet, Cluster]], report: Callable[[Verdict], None]) -> None:
    """Three primaries hold the partitions; no script crosses slots, every burst is one call."""
    fleet, cluster = on_cluster()
    webhook = fleet.webhook(2)
    fleet.workers(2)
    sender = Sender(webhook, channels=CHANNELS)
    sender.play(crowd(60, 3, gap_s=0.3, spread_s=1.0))
    fleet.wait_drained()
    verdict = judge(sender.sent, fleet.agent.calls, Rules())
    report(verdict)
    assert verdict.problems == []
    assert verdict.one_for_each(60)
    assert len({cluster.owner(f"deb:{{p{partition}}}:wake") for partition in range(PARTITIONS)}) > 1


def test_slots_may_move_in_mid_traffic(
    on_cluster: Callable[..., tuple[Fleet, Cluster]], report: Callable[[Verdict], None]
) -> None:
    """A partition's slot moves from server to server while people write: nothing is lost."""
    fleet, cluster = on_cluster()
    fleet.agent.default = Answer(delay_s=0.2)
    webhook = fleet.webhook(2)
    fleet.workers(2)
    sender = Sender(webhook, channels=CHANNELS)
    moved = iter(list(range(PARTITIONS)) * 20)
    with Storm(lambda: cluster.move(f"deb:{{p{next(moved)}}}:wake"), every_s=0.3) as storm:
        sender.play(crowd(60, 4, gap_s=0.6, spread_s=3.0))
        fleet.wait_drained()
    verdict = judge(sender.sent, fleet.agent.calls, Rules(repeats=True))
    report(verdict)
    print(f"{storm.strikes} slots moved, answers to posts: {dict(sender.statuses)}")
    assert verdict.problems == []
    assert storm.strikes > 2
