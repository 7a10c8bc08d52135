"""What one viewer has asked to see, and may do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from webhook.dashboard.models import Ended, Snapshot
from webhook.dashboard.words import Language

MINUTES = (1, 5, 15)
"""Spans of the timeline."""

TEXT_MAX = 100
"""Characters of a filter that are read."""

FILTERS = ("q", "gateway", "reason", "outcome")


class Filters(NamedTuple):
    """The records of the history that a viewer wants. '' stands for any."""

    q: str = ""
    gateway: str = ""
    reason: str = ""
    outcome: str = ""

    def takes(self, record: Ended) -> bool:
        """Return True if a record is wanted."""
        asked = ((self.gateway, record.who.gateway), (self.reason, record.reason), (self.outcome, record.outcome))
        return all(wanted in ("", found) for wanted, found in asked) and self._finds(record)

    def _finds(self, record: Ended) -> bool:
        who = record.who
        words = (who.person, who.gateway, who.channel, record.flush_id, record.ref, record.trace_id, record.error)
        return self.q.casefold() in "\n".join(words).casefold()


class View(NamedTuple):
    """What decides how the page looks. Viewers with the same view get the same HTML.

    With `is_live` it goes to live.js, which writes how long ago and how soon things are: so a panel in which nothing
    happens stays the same.
    """

    language: Language = "en"
    can_act: bool = False
    can_test: bool = False
    minutes: int = MINUTES[0]
    filters: Filters = Filters()
    is_live: bool = False

    def query(self, **changed: str | int) -> str:
        """Return the query of this view's address, with some parts changed."""
        given = {**self.filters._asdict(), "minutes": self.minutes, **changed}
        return urlencode({name: value for name, value in given.items() if value not in ("", MINUTES[0])})


def filters_of(query: Mapping[str, str]) -> Filters:
    """Return the filters that an address names. What is too long is cut."""
    return Filters(*(query.get(name, "").strip()[:TEXT_MAX] for name in FILTERS))


def minutes_of(query: Mapping[str, str]) -> int:
    """Return the span of the timeline, the shortest if the address names none of MINUTES."""
    text = query.get("minutes", "")
    return next((minutes for minutes in MINUTES if str(minutes) == text), MINUTES[0])


def chosen(snapshot: Snapshot, filters: Filters) -> list[Ended]:
    """Return the records that the filters leave."""
    return [record for record in snapshot.ended if filters.takes(record)]


def options(records: Iterable[Ended], filters: Filters) -> dict[str, list[str]]:
    """Return the values that each filter can have: those of the records, and the one that is set."""
    rows = [(one.who.gateway, one.reason, one.outcome) for one in records]
    found = zip(FILTERS[1:], zip(*rows, strict=True) if rows else ((), (), ()), strict=True)
    return {name: sorted({*values, getattr(filters, name)} - {""}) for name, values in found}
