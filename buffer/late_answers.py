"""The answers that an agent posts after its call: the batch waits for one without a lease."""

from __future__ import annotations

from buffer import late_answer_calls
from buffer.keys import Ref
from buffer.late_answer_calls import AwaitOutcome, PostResult
from buffer.models import PostedAnswer
from buffer.store import Store

HASH_SIZE = 16
"""Characters of a conversation hash, with which the rest of a flush_id begins."""


class LateAnswers:
    """The operations on them in a store. Each may raise StoreUnavailable, StoreFull or StoreError."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def wait(self, ref: Ref, token: str, within_ms: int) -> AwaitOutcome:
        """Give a lease back until the agent posts its answer. A repeated call returns the same."""
        args = late_answer_calls.await_answer_args(ref, token, within_ms)
        return late_answer_calls.read_await_answer(await self._store.run("await_answer", ref.partition, args))

    async def post(self, flush_id: str, answer: PostedAnswer) -> PostResult:
        """Keep an answer and make its batch due. Raises ValueError if `flush_id` is none."""
        ref = Ref.parse(flush_id)
        args = late_answer_calls.post_answer_args(ref.hash[:HASH_SIZE], flush_id, answer)
        return late_answer_calls.read_post_answer(await self._store.run("post_answer", ref.partition, args))
