"""The seam to the Lua scripts of answers that come after their call, as buffer/script_calls.py is for the others."""

from __future__ import annotations

from typing import Any, Literal, get_args

from buffer.keys import Ref
from buffer.models import PostedAnswer

Args = list[Any]

AwaitOutcome = Literal["waiting", "lost", "cancelled", "superseded", "broken"]
"""The result of await_answer. `waiting`: the lease is given back until the answer comes, or its time is over."""

PostResult = Literal["stored", "other", "early", "unknown"]
"""The result of post_answer (lua/post_answer.lua)."""

AWAIT_OUTCOMES: dict[bytes, AwaitOutcome] = {outcome.encode(): outcome for outcome in get_args(AwaitOutcome)}
POST_RESULTS: dict[bytes, PostResult] = {result.encode(): result for result in get_args(PostResult)}


def await_answer_args(ref: Ref, token: str, within_ms: int) -> Args:
    """Return the arguments of await_answer.lua."""
    return [ref.hash, token, within_ms]


def read_await_answer(reply: bytes) -> AwaitOutcome:
    """Return whether the answer is waited for."""
    return AWAIT_OUTCOMES[reply]


def post_answer_args(name: str, flush_id: str, answer: PostedAnswer) -> Args:
    """Return the arguments of post_answer.lua. `name` is the conversation hash of the flush_id."""
    return [name, flush_id, *answer]


def read_post_answer(reply: bytes) -> PostResult:
    """Return what became of the answer."""
    return POST_RESULTS[reply]
