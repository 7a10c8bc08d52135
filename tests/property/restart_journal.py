"""What became of flushes that were taken back, as an agent and a person see it: no model is asked."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from tests.property.redis_system import Snapshot
from tests.property.walk_settings import RESTARTS_MAX

FLUSH_ID = re.compile(rb"\d+-[\w-]{16}-\d+-[0-9a-f]{12}")


@dataclass
class RestartJournal:
    """The ids of the messages of each flush that a worker was given, and the flushes that it supersedes."""

    messages: dict[str, list[str]] = field(default_factory=dict)
    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def claim(self, flush_id: str, ids: list[str], supersedes: tuple[str, ...]) -> None:
        """A worker was given a batch."""
        self.messages.setdefault(flush_id, ids)
        self.chains.setdefault(flush_id, supersedes)
        assert len(supersedes) <= RESTARTS_MAX, "a burst was taken back too often"
        assert flush_id not in supersedes, "a flush supersedes itself"
        if supersedes and ids:
            *older, last = supersedes
            assert self.chains[last] == tuple(older), "the agent is not told of all flushes before this one"
            assert set(self.messages[last]) <= set(ids), "a message was lost on the way back"

    def gone(self, picture: Snapshot) -> set[str]:
        """The flushes that are taken back, by what lies in Redis."""
        recorded = {entry["flush_id"] for entry in picture.history() if entry["outcome"] == "superseded"}
        return recorded | {flush_id for name in picture.values["conv"] for flush_id in _supersedes(picture, name)}

    def check(self, picture: Snapshot) -> None:
        """A flush that was taken back has one record, which names its successor; it has no other end."""
        ended = Counter(entry["flush_id"] for entry in picture.history() if _is_end(entry))
        assert all(count == 1 for flush_id, count in ended.items() if flush_id), "a flush ended twice"
        for entry in picture.history():
            if entry["outcome"] == "superseded" and "cause" not in entry:
                chain = self.chains.get(entry["successor"])
                assert chain is None or entry["flush_id"] in chain, "another flush is its successor"
        for name in picture.values["conv"]:
            conv = picture.conv(name)
            assert int(conv.get("restarts", 0)) <= RESTARTS_MAX, "a burst was taken back too often"
            if "superseded" in conv:
                assert "flush_id" in conv, "taken back, and there is no batch"
                assert "sending_ms" not in conv, "a part of a batch that is taken back may be on its way"
                assert conv.get("next_part", "1") == "1", "a part of a batch that is taken back was sent"


def _supersedes(picture: Snapshot, name: str) -> list[str]:
    """The flushes that the batch of a conversation replaces, or its open burst."""
    conv = picture.table("conv", name)
    found = FLUSH_ID.findall(conv.get(b"supersedes", b"") + b" " + conv.get(b"taken_back", b""))
    return [flush_id.decode() for flush_id in found]


def _is_end(entry: dict) -> bool:
    return entry["outcome"] in ("acked", "superseded", "discarded") and "." not in entry.get("flush_id", ".")
