"""The screen of `debouncer top`, made of a picture for a terminal of a given size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from buffer.figures import SPLIT_SHARE_MAX, Figures
from buffer.insight_models import FlushRecord
from buffer.insights import OVERDUE_MS
from buffer.operator_models import Pending
from cli.picture import Picture
from cli.rows import pending_row, record_cells
from cli.tables import Cell, Column, Row, plain, table_of, text_of
from cli.terminal import clock_text, count_of, duration_text, share_text, short_text
from config.logs import mask_phones

PENDING = (
    Column("pending"),
    Column("messages", is_number=True),
    Column("state"),
    Column("due", is_number=True),
    Column("ref", optional=True),
)
FLUSHES = (
    Column("flushes"),
    Column("messages", is_number=True),
    Column("reason", optional=True),
    Column("waited", is_number=True, optional=True),
    Column("late", is_number=True, optional=True),
    Column("outcome"),
    Column("ended", is_number=True),
)
WRONG_MAX = 5
"""Lines about what is wrong. Behind them only their number is told."""

HEAD_LINES = 2
"""Lines of a table above its rows: the heads and a rule."""

ROWS_MIN = 2


class Size(NamedTuple):
    """The size of a terminal in characters."""

    width: int
    height: int


class Seen(NamedTuple):
    """What is drawn: a picture, when, whether names are shown in clear, and why the picture is not newer."""

    picture: Picture
    at_s: float
    show: bool
    error: str | None


def screen(seen: Seen, server: str, size: Size) -> RenderableType:
    """Return the screen. `server` names the Redis that it is about."""
    picture, now_ms = seen.picture, seen.picture.now_ms(seen.at_s)
    head: list[RenderableType] = [_title(server, now_ms, size.width), *_strip(picture), *_wrong_lines(seen), Text()]
    rows = size.height - len(head) - 2 * HEAD_LINES - 1
    pending_rows, flush_rows = share_rows(rows, len(picture.pending.items), len(picture.flushes))
    return Group(
        *head,
        _pending_table(picture.pending.items[:pending_rows], now_ms, seen.show, size.width),
        Text(),
        _flush_table(picture.flushes[:flush_rows], seen.show, size.width),
    )


def share_rows(rows: int, pending: int, flushes: int) -> tuple[int, int]:
    """Return how many rows each list gets: the pending ones up to two thirds, more where the others need less."""
    rows = max(rows, 2 * ROWS_MIN)
    for_flushes = min(flushes, max(rows // 3, rows - pending))
    return min(pending, rows - for_flushes), for_flushes


def _title(server: str, now_ms: int, width: int) -> Text:
    title = Text(f"debouncer top · {plain(server)}", "bold", no_wrap=True, overflow="ellipsis")
    right = f"{clock_text(now_ms)}  q ends"
    title.truncate(max(0, width - len(right) - 1), pad=True)
    return title.append(f" {right}", "dim")


def _strip(picture: Picture) -> list[Text]:
    gauges, figures = picture.gauges, picture.slow.figures
    rate = picture.flushes_per_minute
    return [
        _line(
            ("pending", str(gauges.pending), ""),
            ("overdue", str(gauges.overdue), "bold red" if gauges.overdue else ""),
            ("oldest overdue", _overdue_text(gauges.oldest_overdue_ms), "bold red" if gauges.overdue else ""),
            ("dead", str(gauges.dead), "red" if gauges.dead else ""),
            ("in doubt", str(gauges.doubts), "yellow" if gauges.doubts else ""),
            ("workers", str(len(picture.hosts)), "" if picture.hosts else "bold red"),
        ),
        _line(
            ("flushes/min", "-" if rate is None else f"{rate:.0f}", ""),
            ("today", _today_text(figures), ""),
            ("calls saved", str(figures.calls_saved), "green"),
            ("split", share_text(figures.split_share), "yellow" if is_split_much(figures) else ""),
            ("late p95", short_text(figures.quantile_ms("lateness_ms", 0.95)), ""),
        ),
    ]


def _overdue_text(overdue_ms: int) -> str:
    return duration_text(overdue_ms) if overdue_ms else "-"


def _today_text(figures: Figures) -> str:
    """Return the messages that came and the calls that left since midnight (UTC)."""
    return f"{figures.today['messages']} in, {figures.today['flushes']} out"


def is_split_much(figures: Figures) -> bool:
    """Return True if so many turns are split that the window must be too short."""
    return (figures.split_share or 0) > SPLIT_SHARE_MAX


def _line(*figures: tuple[str, str, str]) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    for name, value, style in figures:
        line.append(f"{name} ", "dim").append(value, style or "bold").append("   ")
    return line


def _wrong_lines(seen: Seen) -> list[Text]:
    wrong = wrong_texts(seen.picture)
    if seen.error is not None:
        age = duration_text((seen.at_s - seen.picture.read_at_s) * 1000)
        wrong.insert(0, f"Redis cannot be read: {seen.error}. What you see is {age} old.")
    if not wrong:
        return [Text("✓ nothing is wrong", "green")]
    left = len(wrong) - WRONG_MAX
    lines = [*wrong[:WRONG_MAX], *([f"and {left} more: `debouncer status` and `check`"] if left > 0 else [])]
    return [Text(f"! {plain(' '.join(line.split()))}", "yellow", no_wrap=True, overflow="ellipsis") for line in lines]


def wrong_texts(picture: Picture) -> list[str]:
    """Return a sentence for each thing that somebody must look at, the most urgent first."""
    gauges, slow = picture.gauges, picture.slow
    oldest = duration_text(gauges.oldest_overdue_ms)
    again = slow.figures.counters["answers_again"]
    split = share_text(slow.figures.split_share)
    texts = (
        (not picture.hosts, "no worker is alive: nothing goes out"),
        (picture.is_suspended, "the queue is suspended: nothing goes out until `rq resume`"),
        *((True, f"the agent at {one.address} fails for everyone: {one.reason}") for one in slow.agents),
        (gauges.overdue > 0, f"{gauges.overdue} overdue, the oldest by {oldest}"),
        (slow.conflict is not None, slow.conflict or ""),
        (again > 0, f"{count_of(again, 'batch')} got a second answer, which must not be".replace("batchs", "batches")),
        (gauges.dead > 0, f"{count_of(gauges.dead, 'dead letter')}: `debouncer dead`"),
        (gauges.doubts > 0, f"{count_of(gauges.doubts, 'part')} of answers in doubt: `debouncer doubt`"),
        *((True, f"{one.gateway}/{mask_phones(one.channel)} sends no replies: {one.reason}") for one in slow.held),
        (is_split_much(slow.figures), f"{split} of the turns are split: `debouncer stats` shows a better window"),
        *((True, f"{result.subject}: {result.message}") for result in picture.checks),
    )
    return [text for is_wrong, text in texts if is_wrong]


def _pending_table(found: Sequence[Pending], now_ms: int, show: bool, width: int) -> Table:
    rows = [_pending_row(one, now_ms, show) for one in found]
    return table_of(PENDING, rows or [("nothing is pending", "", "", "", "")], width, fills=True)


def _pending_row(found: Pending, now_ms: int, show: bool) -> Row:
    who, messages, state, due, ref = pending_row(found, now_ms, show)
    is_late = found.state not in ("in_flight", "paused") and now_ms - found.due_ms > OVERDUE_MS
    return (
        who,
        messages,
        state,
        Cell(text_of(due).plain, "bold red" if is_late else ""),
        Cell(text_of(ref).plain, "dim"),
    )


def _flush_table(records: Sequence[FlushRecord], show: bool, width: int) -> Table:
    rows = [(*record_cells(one, show), clock_text(one.ended_ms)) for one in records]
    return table_of(FLUSHES, rows or [("nothing has ended yet", "", "", "", "", "", "")], width, fills=True)
