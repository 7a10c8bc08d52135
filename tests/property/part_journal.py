"""What became of every part of every stored answer, as seen from outside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.property.redis_system import Snapshot

PRINT_SIZE = 8

Part = tuple[str, int]
"""The flush_id of an answer, and the number of a part of it."""


@dataclass
class PartJournal:
    """`left` counts how often a part reached its gateway, and `allowed` how often it may, by an operator's order.

    `known` are parts of which there is evidence, `barred` those that a takeover has ended.
    """

    stored: dict[Part, str] = field(default_factory=dict)
    left: Counter[Part] = field(default_factory=Counter)
    allowed: Counter[Part] = field(default_factory=Counter)
    begun: dict[str, list[Part]] = field(default_factory=dict)
    known: set[Part] = field(default_factory=set)
    maybe: set[Part] = field(default_factory=set)
    barred: set[Part] = field(default_factory=set)
    taken_back: set[str] = field(default_factory=set)

    def store(self, who: str, flush_id: str, count: int) -> None:
        """An answer was stored."""
        for number in range(1, count + 1):
            self.stored[flush_id, number] = who
            self.allowed[flush_id, number] = 1

    def begin(self, who: str, flush_id: str, number: int) -> None:
        """A part is marked, and its request may leave."""
        part = root_of(flush_id), number
        assert part not in self.barred, "a part was begun after a takeover"
        assert part[0] not in self.taken_back, "a part of an answer that was taken back was begun"
        earlier = [each for each in self.begun.setdefault(who, []) if each[0] == part[0]]
        if flush_id == part[0]:
            assert all(number >= before for _, before in earlier), "the parts of an answer are out of order"
        self.begun[who].append(part)

    def leave(self, flush_id: str, number: int, *, resend: bool) -> None:
        """The request of a part has reached the gateway, and the person gets it."""
        part = root_of(flush_id), number
        self.left[part] += 1
        assert resend or self.left[part] <= self.allowed[part], "a part was sent twice by itself"

    def order(self, doubt_id: str) -> None:
        """An operator wants a part in doubt to be sent again."""
        self.allowed[part_of(doubt_id)] += 1
        self.barred.discard(part_of(doubt_id))

    def take_over(self, who: str, picture: Snapshot, name: str) -> None:
        """A human answers: what is under way for the person ends, except what an operator has asked for."""
        self.barred |= {part for part in _of_conv(picture.table("conv", name)) if self.stored.get(part) == who}

    def take_back(self, flush_id: str) -> None:
        """The person went on writing before a part of this answer had left: none ever will."""
        assert not any(part[0] == flush_id for parts in self.begun.values() for part in parts), "it was begun"
        self.stored = {part: who for part, who in self.stored.items() if part[0] != flush_id}
        self.taken_back.add(flush_id)

    def check(self, picture: Snapshot, *, resend: bool) -> None:
        """Every part is in one place, or its end is known."""
        places = Counter(located(picture))
        ended = self.known | self.maybe | _recorded(picture)
        for part in self.stored:
            assert places[part] <= 1, f"{part} is in two places"
            assert places[part] or part in ended, f"{part} is lost"
            is_done = part in self.known and self.allowed[part] == 1
            assert not (is_done and places[part] and not resend), f"{part} was sent, and is still to be sent"


def root_of(flush_id: str) -> str:
    """The flush whose answer holds a part: that of `<flush_id>.<part>` is `<flush_id>`."""
    return flush_id.partition(".")[0]


def part_of(doubt_id: str) -> Part:
    """The part that a doubt is about."""
    flush_id, _, number = doubt_id.rpartition(".")
    return root_of(flush_id), int(number)


def located(picture: Snapshot) -> Iterator[Part]:
    """The parts that are still to be sent, or in doubt."""
    for kind in ("conv", "letter"):
        for name in picture.values[kind]:
            yield from _of_conv(picture.table(kind, name))
    for doubt_id in picture.index("doubt"):
        yield part_of(doubt_id)


def _of_conv(fields: dict[bytes, bytes]) -> Iterator[Part]:
    """The parts of a batch or dead letter that are still to be sent. One that was seen only waits for its end."""
    if b"next_part" in fields:
        last = int(fields.get(b"last_part", len(fields.get(b"prints", b"")) // PRINT_SIZE))
        for number in range(int(fields[b"next_part"]) + (b"sending_seen" in fields), last + 1):
            yield root_of(fields[b"flush_id"].decode()), number


def _recorded(picture: Snapshot) -> set[Part]:
    """The parts whose end is in the history: dropped, or discarded with their batch."""
    parts = {part_of(entry["part"]) for entry in picture.history() if "part" in entry}
    for entry in picture.history():
        if entry["outcome"] == "discarded" and "next_part" in entry:
            last = part_of(entry["flush_id"])[1] if "." in entry["flush_id"] else entry["parts"]
            flush_id = root_of(entry["flush_id"])
            parts |= {(flush_id, number) for number in range(entry["next_part"], last + 1)}
    return parts
