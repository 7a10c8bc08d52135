"""The agents that fail for everyone: their state is in Redis, for all workers and for people."""

from __future__ import annotations

from typing import Any, NamedTuple

from redis.exceptions import RedisError

from buffer import held_agent_calls
from buffer.errors import store_error
from buffer.held_agent_calls import AgentVerdict, HeldAgent, Strike
from buffer.store import Store

HOME = 0
"""The partition that keeps their state."""

UNPARK_AT_ONCE = 200
"""Batches of one call, which takes about 1 ms of the server's time."""


class AgentsNow(NamedTuple):
    """The agents whose calls are held, and the server's time."""

    now_ms: int
    held: list[HeldAgent]


class HeldAgents:
    """The operations on them in a store. Each may raise StoreUnavailable, StoreFull or StoreError."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._partitions = store.settings.redis_partitions

    async def strike(self, strike: Strike) -> AgentVerdict:
        """Note a call that failed as every call would. Returns whether calls are held now."""
        args = held_agent_calls.strike_args(strike)
        return held_agent_calls.read_strike(await self._store.run("strike", HOME, args))

    async def probe(self, tag: str, first_ms: int, longest_ms: int) -> AgentVerdict:
        """Ask whether an agent may be called. One caller an interval may probe it."""
        args = held_agent_calls.probe_args(tag, first_ms, longest_ms)
        return held_agent_calls.read_probe(await self._store.run("probe", HOME, args))

    async def works(self, tag: str) -> int:
        """Note that an agent has answered. Returns for how many ms its calls were held, to one caller only."""
        return held_agent_calls.read_works(await self._store.run("works", HOME, held_agent_calls.works_args(tag)))

    async def wake_one(self, tag: str) -> None:
        """Make the oldest batch of each partition due that waits for an agent: one of them is the probe."""
        for partition in range(self._partitions):
            await self._store.run("unpark", partition, held_agent_calls.unpark_args(tag, 1))

    async def wake_all(self, tag: str) -> int:
        """Make all batches due that wait for an agent, the oldest first. Returns how many there were."""
        total = 0
        args = held_agent_calls.unpark_args(tag, UNPARK_AT_ONCE)
        for partition in range(self._partitions):
            woken = UNPARK_AT_ONCE
            while woken >= UNPARK_AT_ONCE:
                woken = held_agent_calls.read_unpark(await self._store.run("unpark", partition, args))
                total += woken
        return total

    async def now(self) -> AgentsNow:
        """Return the agents whose calls are held, and how many batches wait for each."""
        key = self._store.keys.of(HOME, "agents")
        now_ms, _ = await self._store.pending(HOME, 0, 0)
        [states] = await self._read(("hgetall", key))
        held = [held_agent_calls.held_agent_of(*item) for item in states.items()] if isinstance(states, dict) else []
        found = sorted((one for one in held if one is not None), key=lambda one: (one.since_ms, one.tag))
        places = [(one, partition) for one in found for partition in range(self._partitions)]
        sizes = await self._read(*(("zcard", self._parked(one, partition)) for one, partition in places))
        waiting = dict.fromkeys(found, 0)
        for (one, _), size in zip(places, sizes, strict=True):
            waiting[one] += size if isinstance(size, int) else 0
        return AgentsNow(now_ms, [one._replace(waiting=waiting[one]) for one in found])

    def _parked(self, agent: HeldAgent, partition: int) -> str:
        return self._store.keys.of(partition, "parked", agent.tag)

    async def _read(self, *commands: tuple[str, ...]) -> list[Any]:
        """Run commands in one pipeline. The reply for a key of another type is its error."""
        if not commands:
            return []
        pipeline = self._store.client.pipeline(transaction=False)
        for method, *args in commands:
            getattr(pipeline, method)(*args)
        try:
            return list(await pipeline.execute(raise_on_error=False))
        except (RedisError, OSError) as error:
            raise store_error(error) from error
