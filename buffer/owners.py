"""The deployments that use this Redis under one REDIS_KEY_PREFIX. Only one should: others would take its messages."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from config.settings import Settings

RECENT_MS = 300_000
"""A worker announces its owner once a minute and signs off when it stops. One that was killed counts for so long."""

FORGET_MS = 86_400_000
"""An owner that was not seen for a day is forgotten."""

DIGEST_SIZE = 6
"""Bytes of the digest of AGENT_URL, which may hold a password and is not stored itself."""


class Owner(NamedTuple):
    """The workers of one deployment on one host: two deployments differ in their agent or their queue."""

    agent: str
    queue: str
    host: str

    def __str__(self) -> str:
        return f"{self.agent} {self.queue} {self.host}"


def owner_of(settings: Settings, host: str) -> Owner:
    """Return the owner that a worker with these settings is on a host."""
    digest = hashlib.blake2b((settings.agent_url or "").encode(), digest_size=DIGEST_SIZE)
    return Owner(digest.hexdigest(), settings.rq_queue, host)


def conflict(settings: Settings, owners: list[tuple[str, int]], now_ms: int) -> str | None:
    """Return a sentence about deployments that were seen lately and differ in agent or queue, or None.

    `owners` has the text of each owner with the time in ms at which it was last seen.
    """
    own = owner_of(settings, "")
    recent = [_parse(text) for text, seen_ms in owners if now_ms - seen_ms < RECENT_MS]
    agents = sorted({owner.host for owner in recent if owner.agent != own.agent})
    queues = sorted({f"{owner.queue} ({owner.host})" for owner in recent if owner.queue != own.queue})
    found = []
    if agents:
        found.append(f"workers with another AGENT_URL on {', '.join(agents)}")
    if queues:
        found.append(f"workers with another RQ_QUEUE: {', '.join(queues)}")
    if not found:
        return None
    minutes = RECENT_MS // 60_000
    return (
        f"in the last {minutes} minutes there were {' and '.join(found)}, with the same "
        f"REDIS_KEY_PREFIX={settings.redis_key_prefix} on the same Redis: each of them may send the other's messages "
        "to its own agent. Give each its own REDIS_KEY_PREFIX and RQ_QUEUE. Only a worker of earlier settings that was "
        f"killed, and could not sign off, is no second deployment: it counts for {minutes} minutes more"
    )


def _parse(text: str) -> Owner:
    agent, _, rest = text.partition(" ")
    queue, _, host = rest.partition(" ")
    return Owner(agent, queue, host)
