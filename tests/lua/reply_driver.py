"""A driver for the parts of answers: answer a burst, send its parts, echo them."""

from __future__ import annotations

from typing import Any

from buffer.models import Batch, Conversation, Outcome
from buffer.prints import print_of
from buffer.reply_models import Began, Doubt, Ending, OwnMessage, OwnMessageResult, PartEnd, PartOutcome, SendLimits
from buffer.reply_models import Status as PartStatus
from buffer.reply_store import Replies
from tests.lua.driver import ANA, ScriptDriver

TEXTS = ("olá", "tudo bem?", "até logo")
NO_LIMITS = SendLimits()


class ReplyDriver:
    """The parts of answers in the store of a script driver."""

    def __init__(self, driver: ScriptDriver) -> None:
        self.driver = driver
        self.clock = driver.clock
        self.store = driver.store
        self.replies = Replies(driver.store)

    async def answered(self, *texts: str, to: Conversation = ANA, said: str = "m1") -> Batch:
        """Claim a burst, and store an answer with these texts. Return the batch as it was claimed."""
        batch = await self.driver.in_flight(said, to=to)
        assert await self.answer(batch, *texts, to=to) == "ok"
        return batch

    async def answer(
        self, batch: Batch, *texts: str, to: Conversation = ANA, answer: bytes = b"{}", delay_ms: int = 0
    ) -> Outcome:
        """Store an answer with these texts."""
        prints = b"".join(print_of(text) for text in texts)
        return await self.store.answered(self.driver.ref(to), batch.token, answer, prints, delay_ms=delay_ms)

    async def begin(
        self, batch: Batch, number: int = 1, own_id: str | None = None, *, to: Conversation = ANA,
        limits: SendLimits = NO_LIMITS,
    ) -> Began:  # fmt: skip
        """Ask whether a part may leave."""
        return await self.replies.begin_part(self.driver.ref(to), batch.token, number, to, own_id, limits)

    async def end(
        self, batch: Batch, number: int = 1, end: PartEnd = "sent", *, to: Conversation = ANA, **fields: Any
    ) -> PartOutcome:
        """Report how the sending of a part ended."""
        ending = Ending(end, batch.flush_id, **fields)
        return await self.replies.end_part(self.driver.ref(to), batch.token, number, to, ending)

    async def send(self, batch: Batch, number: int = 1, message_id: str = "id1", *, to: Conversation = ANA) -> None:
        """Send a part that may leave."""
        assert (await self.begin(batch, number, to=to)).mark == "send"
        assert await self.end(batch, number, message_id=message_id, to=to) == "ok"

    async def doubt(self, *texts: str, to: Conversation = ANA) -> str:
        """Store an answer whose first part is in doubt, and ack the rest if there is none. Return the part."""
        batch = await self.answered(*texts, to=to)
        assert (await self.begin(batch, to=to)).mark == "send"
        assert await self.end(batch, end="in_doubt", reason="the answer was lost", to=to) == "ok"
        if len(texts) == 1:
            assert await self.store.ack(self.driver.ref(to), batch.token) == "ok"
        return f"{batch.flush_id}.1"

    async def own(self, message_id: str | None = "id9", text: str | None = None, *, to: Conversation = ANA,
                  **fields: Any) -> OwnMessageResult:  # fmt: skip
        """Bring a message from our own number."""
        text_print = b"" if text is None else print_of(text)
        fields = {"own_id": None, **fields}
        return await self.replies.own_message(OwnMessage(to, message_id, text_print=text_print, **fields))

    async def status(self, state: Any, message_id: str | None = None, **fields: Any) -> str | None:
        """Bring what a gateway says of a part later."""
        return await self.replies.part_status(ANA.gateway, ANA.channel, PartStatus(state, message_id, **fields))

    async def doubts(self) -> list[Doubt]:
        """Return all parts in doubt."""
        return (await self.replies.doubts(0)).page

    async def counters(self, *names: str) -> dict[str, int]:
        """Return those of some totals that are not 0."""
        totals = await self.driver.counters()
        return {name: totals[name] for name in names if totals[name]}
