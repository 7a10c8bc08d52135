"""DURABILITY: 2xx only when a replica or the disk has the message, so that it outlives the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from tests.integration.checker import Rules, judge
from tests.integration.deployment import Deployment
from tests.integration.polling import until
from tests.integration.processes import Webhook
from tests.integration.sender import Sender, crowd
from tests.integration.slow_link import SlowLink
from tests.replicas import follow, promote
from tests.servers import Server

NO_HANG_S = 8.0
"""A gateway must hear within 2 s, which is measured and put on record; this only tells an answer from a hang."""

ALWAYS = {"appendonly": "yes", "appendfsync": "always"}


@pytest.fixture
def pair(start_server: Callable[..., Server]) -> tuple[Server, Server]:
    """A primary and its replica."""
    primary, replica = start_server(), start_server()
    follow(replica, primary)
    return primary, replica


def accepted(webhook: Webhook, peer: str, message_id: str) -> dict[str, int] | None:
    """Post a message; the counts when it was accepted, None when the gateway is told to come back."""
    response = webhook.say(peer, "oi", message_id=message_id)
    if response.status_code == 200:
        counts: dict[str, int] = response.json()
        return counts
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) >= 1
    assert response.json()["error"] == "unavailable"
    return None


def test_nothing_is_accepted_that_the_replica_lacks(
    start_deployment: Callable[..., Deployment],
    pair: tuple[Server, Server],
    peer: str,
    record_property: Callable[[str, object], None],
) -> None:
    """503 within the time of a gateway, also for the redelivery at another process; then accepted, and stored once."""
    primary, replica = pair
    deployment = start_deployment(primary, durability="replica")
    webhook, other = deployment.webhook(), deployment.webhook()
    assert accepted(webhook, peer, "m1")
    replica.freeze()
    for asked in (webhook, other, webhook):
        start = time.monotonic()
        assert accepted(asked, peer, "m2") is None
        took_s = time.monotonic() - start
        record_property("refused_after_s", round(took_s, 2))
        print(f"503 after {took_s:.2f} s")
        assert took_s < NO_HANG_S
    assert "DURABILITY=replica: no replica confirmed" in webhook.log
    replica.thaw()
    until("the redelivery is accepted", lambda: accepted(other, peer, "m2"))
    assert accepted(webhook, peer, "m2") == {"accepted": 0, "duplicates": 1, "ignored": 0}
    deployment.worker()
    deployment.wait_calls(peer)
    deployment.wait_drained()
    assert [name for call in deployment.agent.calls_of(peer) for name in call.ids] == ["m1", "m2"]


def test_a_promoted_replica_has_all_that_was_accepted(
    start_deployment: Callable[..., Deployment], start_server: Callable[..., Server], pair: tuple[Server, Server]
) -> None:
    """The replica is promoted in mid-traffic and the old primary killed a moment later: what got 2xx is delivered.

    In that moment the old primary still answers: what it took alone is lost with it, so it must not have been accepted.
    """
    (primary, replica), next_replica = pair, start_server()
    deployment = start_deployment(primary, durability="replica")
    webhook = deployment.webhook(2)
    sender = Sender(webhook)

    def fail_over() -> None:
        until("half of it is said", lambda: len(sender.sent) >= 100)
        promote(replica)
        told = len(sender.sent)
        until("some more is said", lambda: len(sender.sent) > told or sender.statuses[503] > 0)
        primary.kill()
        follow(next_replica, replica)
        sender.serve(deployment.webhook(2, redis_url=replica.url))

    failover = threading.Thread(target=fail_over)
    failover.start()
    sender.play(crowd(50, 4, gap_s=0.6, spread_s=2.0))
    failover.join()
    deployment.redis = replica.client()
    deployment.worker(redis_url=replica.url)
    deployment.wait_drained()
    verdict = judge(sender.sent, deployment.agent.calls, Rules())
    print(f"answers to posts: {dict(sender.statuses)}")
    assert verdict.problems == []
    assert sender.statuses[503] > 0


LAG_S = 0.1
TOO_SLOW_S = 1.0
"""One way; the webhooks wait 0.5 s for the replica's word, which is there and back."""


def test_a_lagging_replica_has_all_that_was_accepted(
    start_deployment: Callable[..., Deployment], start_server: Callable[..., Server]
) -> None:
    """The primary dies with writes on their way to a replica that lags, first a little, then more than is waited for.

    What is on its way is lost: nothing of that may have got a 2xx.
    """
    primary, replica, next_replica = start_server(), start_server(), start_server()
    link = SlowLink(primary.port, lag_s=LAG_S)
    follow(replica, primary, link.port)
    deployment = start_deployment(primary, durability="replica")
    sender = Sender(deployment.webhook(2))

    def fail_over() -> None:
        until("much of it is accepted", lambda: sender.statuses[200] >= 60)
        link.lag_s = TOO_SLOW_S
        until("the replica is too late", lambda: sender.statuses[503] >= 20)
        primary.kill()
        link.cut()
        promote(replica)
        follow(next_replica, replica)
        sender.serve(deployment.webhook(2, redis_url=replica.url))

    failover = threading.Thread(target=fail_over)
    failover.start()
    sender.play(crowd(50, 4, gap_s=0.6, spread_s=2.0))
    failover.join()
    deployment.redis = replica.client()
    deployment.worker(redis_url=replica.url)
    deployment.wait_drained()
    print(f"answers to posts: {dict(sender.statuses)}")
    assert judge(sender.sent, deployment.agent.calls, Rules()).problems == []


def test_nothing_is_accepted_that_the_disk_lacks(
    start_deployment: Callable[..., Deployment], start_server: Callable[..., Server], peer: str
) -> None:
    """A server whose file was switched off answers as before, but no message is accepted until it is written again."""
    server = start_server(**ALWAYS)
    deployment = start_deployment(server, durability="disk")
    webhook = deployment.webhook()
    assert accepted(webhook, peer, "m1")
    deployment.redis.config_set("appendonly", "no")
    assert accepted(webhook, peer, "m2") is None
    assert "DURABILITY=disk: Redis did not wait" in webhook.log
    deployment.redis.config_set("appendonly", "yes")
    until("it is accepted", lambda: accepted(webhook, peer, "m2"))
    server.kill()
    server.restart()
    deployment.worker()
    deployment.wait_calls(peer)
    assert [name for call in deployment.agent.calls_of(peer) for name in call.ids] == ["m1", "m2"]


def test_a_frozen_primary_is_no_hang(
    start_deployment: Callable[..., Deployment],
    pair: tuple[Server, Server],
    peer: str,
    record_property: Callable[[str, object], None],
) -> None:
    """With a wait under way the gateway still hears in time that it must come back."""
    primary, _ = pair
    webhook = start_deployment(primary, durability="replica", durability_timeout=0.8).webhook()
    assert accepted(webhook, peer, "m1")
    primary.freeze()
    start = time.monotonic()
    assert accepted(webhook, peer, "m2") is None
    took_s = time.monotonic() - start
    record_property("refused_after_s", round(took_s, 2))
    print(f"503 after {took_s:.2f} s")
    assert took_s < NO_HANG_S
    primary.thaw()
    until("it is accepted", lambda: accepted(webhook, peer, "m2"))


def test_a_replica_that_comes_later(
    start_deployment: Callable[..., Deployment], start_server: Callable[..., Server], peer: str
) -> None:
    """Without a replica the webhook starts with a warning and accepts nothing; with one it does, without a restart."""
    primary, replica = start_server(), start_server()
    webhook = start_deployment(primary, durability="replica").webhook()
    assert "no replica is connected" in webhook.log
    assert accepted(webhook, peer, "m1") is None
    follow(replica, primary)
    until("it is accepted", lambda: accepted(webhook, peer, "m1"))
