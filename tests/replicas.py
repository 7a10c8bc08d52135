"""A primary and its replica, both real."""

from __future__ import annotations

from tests.integration.polling import until
from tests.servers import Server


def follow(replica: Server, primary: Server, port: int | None = None) -> None:
    """Make one server the replica of another, and wait until it confirms what the other writes.

    The replica connects to `port` when its link does not lead straight to the primary.
    """
    with replica.client() as client, primary.client() as leader:
        leader.config_set("repl-diskless-sync-delay", "0")
        client.replicaof("127.0.0.1", str(port or primary.port))
        until("the replica is in step", lambda: client.info("replication")["master_link_status"] == "up")
        until("the primary counts it", lambda: leader.info("replication").get("slave0", {}).get("state") == "online")
        leader.set("in-step", "1")
        leader.delete("in-step")
        until("it confirms", lambda: leader.wait(1, 1000) == 1)
        leader.config_resetstat()


def promote(replica: Server) -> None:
    """Make a replica a primary, as Sentinel does at a failover."""
    with replica.client() as client:
        client.replicaof("NO", "ONE")
