"""The judge of replies notices each breach."""

from __future__ import annotations

import json
import time

from tests.gateway_stubs.base import JournalEntry
from tests.integration.agent import Call
from tests.integration.reply_checker import judge_calls, judge_replies
from tests.integration.restart_checker import judge_flush_replies

ANSWERS = {"ana": ["one", "two", "three"]}


def heard(*texts: str, who: str = "ana") -> list[JournalEntry]:
    """What a person got."""
    return [
        JournalEntry(time.monotonic(), number, who, None, text, str(number), "text")
        for number, text in enumerate(texts, 1)
    ]


def called(after_ms: float, key: str = "flush-1", body: bytes = b"") -> Call:
    """A call for Ana, so long after now."""
    content = b'{"conversation": {"id": "ana"}}' + body
    return Call(time.time() * 1000 + after_ms, {"Idempotency-Key": key}, content)


def test_all_is_well():
    """Sent, in doubt though sent, and in doubt without being sent are accounted for."""
    assert judge_replies(ANSWERS, heard("one", "two", "three"), {}) == []
    assert judge_replies(ANSWERS, heard("one", "three"), {"ana": [2]}) == []
    assert judge_replies(ANSWERS, heard("one", "two", "three"), {"ana": [2]}) == []
    assert judge_calls([called(-500), called(-300)], heard("one")) == []


def test_what_is_wrong():
    """A part twice, out of order, lost, not the agent's, or to somebody who asked nothing."""
    assert judge_replies(ANSWERS, heard("one", "two", "two", "three"), {}) == ["ana got 'two' twice"]
    assert judge_replies(ANSWERS, heard("one", "three", "two"), {}) == ["ana got the parts in the order [1, 3, 2]"]
    assert judge_replies(ANSWERS, heard("one", "two"), {"ana": [1]}) == ["part 3 of ana was neither sent nor listed"]
    assert "ana got a part that is none" in judge_replies(ANSWERS, heard("one", "two", "three", "four"), {})[0]
    assert judge_replies({}, heard("one"), {}) == ["ana was written to and never asked"]


def test_calls_that_should_not_be():
    """A call when a part is out, a second flush, or another body."""
    assert judge_calls([called(60_000)], heard("one")) == ["the agent was called for ana, who had a part already"]
    assert judge_calls([called(0), called(0, "flush-2")], []) == ["ana had several flushes or bodies"]
    assert judge_calls([called(0), called(0, body=b" ")], []) == ["ana had several flushes or bodies"]


def flush(key: str, who: str = "ana", supersedes: tuple[str, ...] = ()) -> Call:
    """A call of a flush, which may take the place of others."""
    content = {"conversation": {"id": who}} | ({"supersedes": list(supersedes)} if supersedes else {})
    return Call(time.time() * 1000, {"Idempotency-Key": key}, json.dumps(content).encode())


def test_replies_of_flushes_that_are_taken_back():
    """Nothing of them reaches the person, and everything of their successor does, or is listed."""
    calls = [flush("f1"), flush("f2", supersedes=("f1",))]
    assert judge_flush_replies(calls, heard("f2 1", "f2 2"), 2, {}) == []
    assert judge_flush_replies(calls, heard("f2 2"), 2, {"f2": [1]}) == []
    assert "ana got a part of f1, which was taken back" in judge_flush_replies(calls, heard("f1 1"), 2, {})
    assert "part 2 of f2 was neither sent nor listed" in judge_flush_replies(calls, heard("f2 1"), 2, {})
    assert "the parts of f2 came in the order [2, 1]" in judge_flush_replies(calls, heard("f2 2", "f2 1"), 2, {})
    assert "the parts of f2 came in the order [1, 1, 2]" in judge_flush_replies(
        calls, heard("f2 1", "f2 1", "f2 2"), 2, {}
    )
    assert "bia got 'f2 1' of somebody else" in judge_flush_replies(calls, heard("f2 1", who="bia"), 1, {})
