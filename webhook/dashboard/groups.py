"""Groups dead letters and parts in doubt by their reason, so that 2,000 failures read as three causes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from webhook.dashboard.models import Group, Held, HeldList

NUMBERS = re.compile(r"[\d*•]+")
"""What differs between reasons that are the same: numbers, and what is masked."""


def group_key(reason: str) -> str:
    """Return what reasons of one group have in common. Status codes of three digits stay: they are the cause."""
    return NUMBERS.sub(lambda found: found[0] if len(found[0]) == 3 and found[0].isdigit() else "#", reason)


def grouped(total: int, found: Iterable[tuple[str, Held]]) -> HeldList:
    """Return the groups of the entries, each given with its masked reason, the largest group first."""
    groups: dict[str, list[tuple[str, Held]]] = defaultdict(list)
    for reason, held in found:
        groups[group_key(reason)].append((reason, held))
    made = [_group(entries) for entries in groups.values()]
    made.sort(key=lambda group: (-len(group.items), -group.last_ms))
    return HeldList(total, sum(len(group.items) for group in made), made)


def _group(entries: Sequence[tuple[str, Held]]) -> Group:
    times = [held.since_ms for _, held in entries]
    return Group(entries[-1][0], min(times), max(times), [held for _, held in entries])
