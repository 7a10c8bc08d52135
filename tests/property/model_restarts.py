"""What the model knows of MESSAGE_WHILE_ANSWERING=restart: a message may take back the batch before it.

Written from docs/restart.md. In the walks without that setting nothing of this happens.
"""

from __future__ import annotations

from collections import Counter

from buffer.deadlines import InFlight, may_restart
from buffer.models import SUSPECT_CRASHES
from config.settings import Settings
from tests.property.model_counts import ModelCounts
from tests.property.model_state import ModelMessage, Sealed, Talk


def restarts_max(route: Settings) -> int:
    """How often the batches of a burst may be taken back on this route."""
    return route.restarts_max if route.message_while_answering == "restart" else 0


class ModelRestarts(ModelCounts):
    """Marks of batches that are taken back, and the bursts that they become again."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.ended: Counter[str] = Counter()

    def _take_back(self, talk: Talk, said: ModelMessage, most: int) -> list[ModelMessage]:
        """Mark the batch of a conversation as superseded, if a message on such a route may take it back.

        Return the messages that go back: from now on they count as those of the open burst.
        """
        batch = talk.batch
        if not most or batch is None:
            return []
        if not batch.is_superseded and self._may_take_back(talk, batch, said, most):
            batch.is_superseded, batch.marked = True, batch.messages
        if not batch.is_superseded:
            return []
        talk.opened_ms = min(talk.opened_ms if talk.buffer else self.now_ms, batch.opened_ms)
        return batch.marked

    def _may_take_back(self, talk: Talk, batch: Sealed, said: ModelMessage, most: int) -> bool:
        """May this message take back the batch of its conversation?"""
        messages = [*batch.messages, *talk.buffer, said]
        in_flight = InFlight(batch.opened_ms, len(batch.supersedes), batch.is_begun)
        is_within_caps = (
            len(messages) <= self.settings.message_buffer_max_messages
            and sum(each.size for each in messages) <= self.settings.message_buffer_max_bytes
        )
        return (
            may_restart(self.now_ms, in_flight, most, self.settings.max_wait_ms, is_within_caps)
            and bool(batch.messages)
            and not (batch.cancelled or batch.is_redriven)
            and batch.crashes < SUSPECT_CRASHES
            and self.settings.message_buffer_enabled
        )

    def _rejoin(self, talk: Talk) -> None:
        """The messages of a batch go back in front of the open burst, in the order of their receipt.

        A keyword among them has closed a burst already, and the person went on.
        """
        batch, talk.batch = talk.batch, None
        if not batch or not batch.messages:  # its list is gone, and that is recorded
            return
        self.counters["flushes_superseded"] += 1
        self.waits[batch.waited_ms] -= 1
        talk.supersedes = (*batch.supersedes, batch.flush_id)
        talk.unrecorded.append(len(batch.messages))
        talk.crashes = max(talk.crashes, batch.crashes)
        talk.opened_ms = batch.opened_ms
        messages = [said._replace(keyword=False) for said in batch.messages]
        talk.buffer = sorted(messages, key=lambda said: said.received_ms) + talk.buffer

    def is_stopped(self, talk: Talk, token: str) -> bool:
        """Was the batch of this token taken back?"""
        return bool(talk.batch and talk.batch.token == token and talk.batch.is_superseded)

    def _stays(self, talk: Talk, batch: Sealed) -> None:
        """A batch that kills workers goes back no more: the burst behind it is one of its own."""
        batch.is_superseded = False
        if talk.buffer and not talk.fired:
            talk.opened_ms = talk.buffer[0].received_ms
            quiet_ms = talk.buffer[-1].received_ms + talk.window_ms
            talk.deadline_ms = max(talk.deadline_ms, min(quiet_ms, talk.opened_ms + self.settings.max_wait_ms))

    def _stop(self, talk: Talk, token: str) -> str:
        """The batch was taken back while its worker was at it: what the worker gets, now and if it asks again."""
        self._rejoin(talk)
        talk.done = (token, "superseded")
        return "superseded"

    def _cancel(self, talk: Talk) -> None:
        """Mark the batch in flight as discarded. It goes back to no burst then."""
        if talk.batch:
            talk.batch.cancelled, talk.batch.is_superseded = True, False

    def _close_burst(self, talk: Talk) -> tuple[tuple[str, ...], int]:
        """The open burst ends, with a batch or without. Return what was taken back for it, and its crashes."""
        self.ended["superseded"] += sum(talk.unrecorded)
        found = talk.supersedes, talk.crashes
        talk.supersedes, talk.crashes, talk.unrecorded = (), 0, []
        return found
