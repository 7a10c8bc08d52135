"""A Valkey cluster of three primaries on this machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redis.cluster import ClusterNode, RedisCluster
from redis.crc import key_slot

from tests.integration.polling import until
from tests.servers import Server

SLOTS = 16_384


class Cluster:
    """Three servers that share the slots; `start` is the fixture that starts and ends servers."""

    def __init__(self, start: Callable[..., Server], nodes: int = 3) -> None:
        self.nodes = [start(cluster_enabled="yes", cluster_node_timeout="2000") for _ in range(nodes)]
        self._hand_out_slots()
        for node in self.nodes[1:]:
            self._tell(self.nodes[0], "MEET", "127.0.0.1", node.port)
        until("the cluster is complete", lambda: all(self._complete(node) for node in self.nodes))

    @property
    def url(self) -> str:
        """The address for REDIS_URL."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def client(self) -> Any:
        """A blocking client of the whole cluster; the caller closes it."""
        return RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", node.port) for node in self.nodes])

    def owner(self, key: str) -> Server:
        """The server that holds a key."""
        with self.client() as client:
            port = client.get_node_from_key(key).port
        return next(node for node in self.nodes if node.port == port)

    def move(self, key: str) -> None:
        """Move the slot of a key to the next server, as an operator who reshards."""
        source = self.owner(key)
        target = self.nodes[(self.nodes.index(source) + 1) % len(self.nodes)]
        slot = key_slot(key.encode())
        name = self._tell(target, "MYID")
        self._tell(source, "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", name.decode())
        until(f"slot {slot} has moved", lambda: self.owner(key) is target)

    def _hand_out_slots(self) -> None:
        size = -(-SLOTS // len(self.nodes))
        for index, node in enumerate(self.nodes):
            self._tell(node, "ADDSLOTSRANGE", index * size, min(SLOTS, (index + 1) * size) - 1)
            self._tell(node, "SET-CONFIG-EPOCH", index + 1)

    def _complete(self, node: Server) -> bool:
        lines = bytes(self._tell(node, "INFO"))
        return b"cluster_state:ok" in lines and b"cluster_known_nodes:%d" % len(self.nodes) in lines

    def _tell(self, node: Server, *command: object) -> Any:
        with node.client() as client:
            client.response_callbacks.clear()
            return client.execute_command("CLUSTER", *command)
