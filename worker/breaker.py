"""The breaker of each agent: calls to one that fails for everyone are held, and a probe now and then tries it.

The state is in Redis for all workers. A process asks there only from its own first failure to the agent's next answer:
while all is well, a flush costs nothing here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from dataclasses import replace
from hashlib import blake2b

from agents.results import AgentFailure, AgentReply
from buffer.errors import StoreError
from buffer.held_agent_calls import HeldAgent, Strike
from buffer.held_agents import HeldAgents
from buffer.models import Batch
from config.logs import get_logger
from config.setting_types import milliseconds
from config.settings import Settings
from gateways.masking import mask_numbers
from worker.circuit import Circuit

PEOPLE = 5
"""So many people in a row whose calls failed as every call would: then calls are held."""

FORGET_MS = 600_000
"""Age at which such failures no longer count."""

LONGEST_PROBE_MS = 30_000
"""Longest time between two probes."""

WATCH_S = 30.0
"""Time between two looks for agents that are held, while this process knows of none."""

CLOSE_WATCH_S = 5.0
"""Longest time between two looks while it knows of one."""

REASON_MAX = 300

log = get_logger()


class Breakers:
    """The breakers of all agents of a process. No method raises because Redis fails: calls are made then."""

    def __init__(self, agents: HeldAgents, settings: Settings) -> None:
        self._agents = agents
        self._first_ms = min(LONGEST_PROBE_MS, milliseconds(settings.retry_base))
        self._longest_ms = min(LONGEST_PROBE_MS, milliseconds(settings.retry_max))
        self._struck: set[str] = set()
        self._held: set[str] = set()
        self._left: dict[str, int] = {}
        self._tags: frozenset[str] | None = None
        self._next_look = asyncio.Event()

    @property
    def is_holding(self) -> bool:
        """Return True if this process knows of an agent that is held."""
        return bool(self._held)

    async def held(self, circuit: Circuit) -> AgentFailure | None:
        """Return the failure of a batch that must not be given to its agent now, or None if it may be called."""
        tag = circuit.tag
        if tag not in self._held:
            return None
        try:
            verdict = await self._agents.probe(tag, self._first_ms, self._longest_ms)
        except StoreError:
            return None
        if verdict.is_held:
            self._note_held(tag)
            return AgentFailure("the agent fails for everyone, so it is not called", sent=False, held=tag, called=False)
        if verdict.status == "works":
            self._note_over(tag)
        return None

    async def judge(
        self, circuit: Circuit, batch: Batch, result: AgentReply | AgentFailure
    ) -> AgentReply | AgentFailure:
        """Note the result of a call. Return it, and if calls are held then as one that does not count."""
        if isinstance(result, AgentFailure) and result.is_for_everyone:
            return await self._strike(circuit, batch, result)
        has_answered = isinstance(result, AgentReply) or result.status is not None
        if has_answered and (circuit.tag in self._struck or circuit.tag in self._held):
            await self._works(circuit)
        return result

    async def _strike(self, circuit: Circuit, batch: Batch, failure: AgentFailure) -> AgentFailure:
        tag, address = circuit
        reason = mask_numbers(failure.error)[:REASON_MAX]
        strike = Strike(tag, _digest(batch), PEOPLE, self._first_ms, FORGET_MS, address, reason)
        self._struck.add(tag)
        try:
            verdict = await self._agents.strike(strike)
        except StoreError:
            return failure
        if not verdict.is_held:
            return failure
        self._note_held(tag)
        if verdict.status == "opened":
            log.error(
                f"the agent at {address} fails for everyone: its calls are held, and a probe now and then tries it; "
                "nothing is lost, and no attempt is used up",
                error=reason,
                probe_in_s=verdict.probe_in_ms / 1000,
            )
        return replace(failure, held=tag)

    async def _works(self, circuit: Circuit) -> None:
        tag, address = circuit
        with contextlib.suppress(StoreError):
            held_ms = await self._agents.works(tag)
            self._struck.discard(tag)
            if held_ms:
                log.info(
                    f"the agent at {address} works again: what waited for it is delivered, the oldest first",
                    after_s=round(held_ms / 1000, 1),
                )
            self._note_over(tag)

    def _note_held(self, tag: str) -> None:
        self._left.pop(tag, None)
        if tag not in self._held:
            self._held.add(tag)
            self._next_look.set()

    def _note_over(self, tag: str) -> None:
        """Wake what waits. Twice, for a batch may be on its way to those that wait just now."""
        if tag in self._held:
            self._held.discard(tag)
            self._left[tag] = 2
            self._next_look.set()

    def use(self, tags: Collection[str]) -> None:
        """Forget, soon, the agents that no route uses: what waits for one gets another. For a start and a reload."""
        self._tags = frozenset(tags)
        self._next_look.set()

    async def _forget_others(self, held: Collection[HeldAgent]) -> None:
        tags, self._tags = self._tags, None
        for one in held:
            if tags is not None and one.tag not in tags:
                await self._agents.works(one.tag)
                self._held.add(one.tag)
                self._note_over(one.tag)

    async def run(self) -> None:
        """Watch the agents that are held until cancelled: wake a probe when it is due, and all when one works again."""
        while True:
            self._next_look.clear()
            wait_s = WATCH_S
            with contextlib.suppress(StoreError):
                wait_s = await self.look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._next_look.wait()

    async def look(self) -> float:
        """Look once. Return the seconds until the next look."""
        now_ms, held = await self._agents.now()
        if self._tags is not None:
            await self._forget_others(held)
            now_ms, held = await self._agents.now()
        for tag in self._held - {one.tag for one in held}:
            self._note_over(tag)
        for one in held:
            self._note_held(one.tag)
            if one.until_ms <= now_ms:
                await self._agents.wake_one(one.tag)
        for tag, looks in list(self._left.items()):
            await self._agents.wake_all(tag)
            if self._left.get(tag) == looks:
                self._left[tag] = looks - 1
        self._left = {tag: looks for tag, looks in self._left.items() if looks > 0}
        probes_s = [max(0.05, (one.until_ms - now_ms) / 1000) for one in held]
        watch_s = CLOSE_WATCH_S if held or self._left else WATCH_S
        return min([watch_s, *probes_s])


def _digest(batch: Batch) -> str:
    """Return what stands for a person among the strikes."""
    return blake2b("\0".join(batch.conversation).encode(), digest_size=8).hexdigest()
