"""The judge of replies notices each breach."""

from __future__ import annotations

import time

from tests.gateway_stubs.base import JournalEntry
from tests.integration.agent import Call
from tests.integration.reply_checker import judge_calls, judge_replies

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
