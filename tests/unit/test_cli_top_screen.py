"""The screen of `debouncer top`: what it shows of a picture, and that it fits the terminal."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from buffer.figures import Figures
from buffer.insight_models import FlushRecord, Gauges, Histogram, Page
from buffer.models import Conversation
from buffer.operator_models import Pending, PendingState
from buffer.reply_models import HeldChannel
from buffer.transport.server_checks import CheckResult
from cli.picture import Picture, Rate, Slow
from cli.tables import console_of
from cli.top_screen import ROWS_MIN, Seen, Size, screen, share_rows, wrong_texts

NOW_MS = 1_795_000_000_000
WIDE = Size(120, 30)


def waiting(number: int, left_ms: int, state: PendingState = "open") -> Pending:
    return Pending(state, NOW_MS + left_ms, 2, Conversation("evolution", "loja", f"55119000000{number:02}"), "0-ref")


def ended(number: int) -> FlushRecord:
    return FlushRecord(
        ref="0-ref",
        conversation=Conversation("evolution", "loja", f"55119000000{number:02}"),
        flush_id="0-ref-1-a",
        reason="quiet",
        outcome="acked",
        cause="",
        messages=3,
        opened_ms=NOW_MS - 20_000,
        last_ms=NOW_MS - 12_000,
        due_ms=NOW_MS - 4_000,
        closed_ms=NOW_MS - 4_000,
        claimed_ms=NOW_MS - 3_993,
        answered_ms=NOW_MS - 3_000,
        ended_ms=NOW_MS - 3_000,
        attempts=1,
        parts=1,
        next_part=2,
        doubts=0,
        arrivals_ms=(0, 8_000),
        error="",
    )


def picture(pending: int = 3, flushes: int = 2) -> Picture:
    return Picture(
        gauges=Gauges(NOW_MS, pending, 0, 0, 0, 0, 0, {}),
        pending=Page([waiting(number, 1_000 * number + 900) for number in range(pending)], None, pending),
        flushes=[ended(number) for number in range(flushes)],
        hosts=["host-a"],
        is_suspended=False,
        slow=Slow(),
        checks=[],
        flushes_per_minute=None,
        read_at_s=100.0,
    )


def drawn(
    shown: Picture, size: Size = WIDE, *, at_s: float = 100.0, show: bool = False, error: str | None = None
) -> list[str]:
    """The lines of a screen, without colours."""
    stream = io.StringIO()
    console = console_of(stream)
    console.width, console.height = size
    console.print(screen(Seen(shown, at_s, show, error), "redis://localhost/0", size), end="")
    return stream.getvalue().splitlines()


def test_the_screen_has_everything():
    """Strip, what waits soonest first, and what ended last, with masked numbers."""
    text = "\n".join(drawn(picture()))
    for words in ("pending 3", "overdue 0", "workers 1", "nothing is wrong", "in 1 s", "in 3 s", "16.0 s", "7 ms"):
        assert words in text
    assert "evolution/loja 5511*******01" in text
    assert "5511900000001" not in text
    assert "5511900000001" in "\n".join(drawn(picture(), show=True))


def test_countdowns_go_on_between_two_reads():
    """A countdown is drawn from the server's clock, plus what has passed here since it was read."""
    for passed_s, words in ((0, "in 10 s"), (4, "in 6 s"), (11, "now"), (15, "5 s ago")):
        shown = replace(picture(), pending=Page([waiting(1, 10_000)], None, 1))
        assert words in "\n".join(drawn(shown, at_s=100.0 + passed_s))


@pytest.mark.parametrize("size", [Size(40, 10), Size(80, 24), Size(120, 30), Size(200, 60), Size(20, 3)])
@pytest.mark.parametrize("count", [0, 1, 100])
def test_the_screen_fits(size: Size, count: int):
    """A row is one line, and all lines fit a terminal that has room for anything at all."""
    lines = drawn(picture(pending=count, flushes=count), size)
    assert all(len(line) <= size.width for line in lines)
    assert len(lines) <= max(size.height, 16)
    if size.height > 20 and count == 100:
        assert len(lines) == size.height


def test_both_lists_share_the_rows():
    """Each gets what it needs if there is room, the pending conversations two thirds if there is none."""
    assert share_rows(30, 100, 100) == (20, 10)
    assert share_rows(30, 3, 100) == (3, 27)
    assert share_rows(30, 100, 3) == (27, 3)
    assert share_rows(30, 0, 0) == (0, 0)
    assert sum(share_rows(-5, 100, 100)) == 2 * ROWS_MIN


def test_what_is_wrong_is_said():
    """Each thing that somebody must look at is one line, with what to do."""
    lateness = Histogram((5.0,), (1,), 1)
    figures = Figures(histograms={"lateness_ms": lateness})
    figures.counters.update(
        {"flushes_quiet": 10, "flush_messages": 12, "turns": 5, "turns_split": 2, "answers_again": 1}
    )
    held = [HeldChannel("meta", "5511900000009", NOW_MS, "the key is wrong")]
    bad = replace(
        picture(),
        gauges=Gauges(NOW_MS, 1, 1, 61_000, 2, 3, 0, {}),
        hosts=[],
        is_suspended=True,
        slow=Slow(figures, held, "another deployment is at work"),
        checks=[CheckResult("problem", "eviction", "maxmemory-policy is allkeys-lru")],
    )
    texts = "\n".join(wrong_texts(bad))
    for words in (
        "no worker is alive",
        "the queue is suspended",
        "1 overdue, the oldest by 1 min 1 s",
        "another deployment",
        "1 batch got a second answer",
        "2 dead letters: `debouncer dead`",
        "3 parts of answers in doubt",
        "meta/5511*******09 sends no replies: the key is wrong",
        "40.0 % of the turns are split",
        "eviction: maxmemory-policy",
    ):
        assert words in texts
    assert "5511900000009" not in texts
    lines = drawn(bad)
    assert sum(line.startswith("! ") for line in lines) == 6
    assert "and 5 more" in "\n".join(lines)
    assert wrong_texts(picture()) == []


def test_an_old_picture_says_so():
    """While Redis does not answer, the screen says why and how old it is."""
    text = "\n".join(drawn(picture(), at_s=107.0, error="connection refused"))
    assert "Redis cannot be read: connection refused. What you see is 7 s old." in text
    assert "nothing is wrong" not in text


def test_text_from_outside_cannot_steer_the_terminal():
    """Control characters of names and reasons do not reach the terminal."""
    held = [HeldChannel("meta", "lo\x1b[2Jja", NOW_MS, "bad\x1b]0;x\x07\nkey")]
    odd = Pending("open", NOW_MS, 1, Conversation("evolution", "\x1b[31m", "a\x9bb"), "0-ref")
    shown = replace(picture(), slow=Slow(held=held), pending=Page([odd], None, 1))
    for show in (True, False):
        text = "".join(drawn(shown, show=show))
        assert not {"\x1b", "\x07", "\x9b"} & set(text)


def test_the_rate_is_that_of_the_last_minute():
    """It is unknown at the first reading, and old readings leave."""
    rate = Rate()
    rate.add(0, 1_000)
    assert rate.per_minute is None
    rate.add(30, 1_010)
    assert rate.per_minute == 20
    for second in range(35, 200, 5):
        rate.add(second, 1_010)
    assert rate.per_minute == 0
