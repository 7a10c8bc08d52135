"""A gateway's side: posts many people's messages, and redelivers what got no 2xx, with the same ids."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol
from zlib import crc32

import aiohttp

from tests.integration.processes import bearer

AGAIN_S = 0.2
ANSWER_WITHIN_S = 10.0
PLAY_WITHIN_S = 150.0
"""Longer than any plan: a service that accepts nothing must fail the test, not hang it."""

WAVES_MAX = 20
"""Crowds, far above what any test needs: what never comes must fail the test, not keep it writing."""


@dataclass(slots=True, frozen=True)
class Said:
    """What a person says: when, counted from the start, in seconds."""

    at_s: float
    peer: str
    message_id: str


@dataclass(slots=True)
class Sent:
    """What was posted, and when the first 2xx for it came (None: never)."""

    peer: str
    message_id: str
    acked_ms: float | None = None


def crowd(people: int, messages: int, gap_s: float, spread_s: float = 0.0, first: int = 0) -> list[Said]:
    """Many people with a burst of the same size each, interleaved; they begin spread over `spread_s`.

    Their numbers begin at `first`.
    """
    return [
        Said(number * spread_s / people + index * gap_s, f"person-{one:04d}", f"m-{one:04d}-{index}")
        for number, one in enumerate(range(first, first + people))
        for index in range(messages)
    ]


def waves(people: int, messages: int, gap_s: float, spread_s: float = 0.0) -> Iterator[list[Said]]:
    """Crowds of new people, one after the other."""
    for wave in range(WAVES_MAX):
        yield crowd(people, messages, gap_s, spread_s, first=wave * people)


class Address(Protocol):
    """Whatever serves the generic gateway."""

    @property
    def url(self) -> str:
        """The address of the generic gateway."""


class Sender:
    """Posts to any of several webhooks; a person's next message waits for the 2xx of the one before.

    Everybody writes to one of `channels` numbers of ours.
    """

    def __init__(self, *webhooks: Address, channels: int = 1, within_s: float = PLAY_WITHIN_S) -> None:
        self.sent: list[Sent] = []
        self.statuses: dict[int, int] = defaultdict(int)
        self._urls: list[str] = []
        self._channels = channels
        self._turn = 0
        self._within_s = within_s
        self.serve(*webhooks)

    def serve(self, *webhooks: Address) -> None:
        """Post to these from now on, in turn, as a load balancer does."""
        self._urls = [webhook.url for webhook in webhooks]

    def play(self, plan: Iterable[Said]) -> None:
        """Say everything at its time; returns when all of it was accepted."""
        asyncio.run(self._play(plan))

    def play_until(self, enough: Callable[[], bool], plans: Iterable[Iterable[Said]]) -> None:
        """Play one plan after the other until `enough` is true; fails when it never is.

        How much else happens in the time of one plan depends on the machine.
        """
        for plan in plans:
            self.play(plan)
            if enough():
                return
        raise AssertionError("everything was said, and what the test waits for has not happened often enough")

    @property
    def people(self) -> int:
        """How many people have said something."""
        return len({sent.peer for sent in self.sent})

    async def _play(self, plan: Iterable[Said]) -> None:
        by_peer: dict[str, list[Said]] = defaultdict(list)
        for said in sorted(plan, key=lambda said: said.at_s):
            by_peer[said.peer].append(said)
        # A connection for each post: so they spread over all processes, as those of real gateways do.
        connector = aiohttp.TCPConnector(limit=64, force_close=True)
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=bearer()) as session:
            start = asyncio.get_running_loop().time()
            async with asyncio.timeout(self._within_s), asyncio.TaskGroup() as group:
                for burst in by_peer.values():
                    group.create_task(self._say_all(session, burst, start))

    async def _say_all(self, session: aiohttp.ClientSession, burst: Sequence[Said], start: float) -> None:
        for said in burst:
            await asyncio.sleep(start + said.at_s - asyncio.get_running_loop().time())
            sent = Sent(said.peer, said.message_id)
            self.sent.append(sent)
            while sent.acked_ms is None:
                await self._post(session, sent)

    async def _post(self, session: aiohttp.ClientSession, sent: Sent) -> None:
        self._turn += 1
        urls = self._urls
        channel = crc32(sent.peer.encode()) % self._channels
        url = f"{urls[self._turn % len(urls)]}/number-{channel}"
        body = {"conversation": sent.peer, "text": f"text of {sent.message_id}", "message_id": sent.message_id}
        try:
            async with session.post(url, json=body) as response:
                status = response.status
                await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            status = 0
        self.statuses[status] += 1
        if 200 <= status < 300:
            sent.acked_ms = time.time() * 1000
        else:
            await asyncio.sleep(AGAIN_S)
