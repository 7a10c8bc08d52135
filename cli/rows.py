"""The rows of conversations that wait, and of records of what ended, as lists and the live screen show them."""

from __future__ import annotations

from buffer.insight_models import FlushRecord
from buffer.insights import OVERDUE_MS
from buffer.operator_models import Pending
from cli.names import who_text
from cli.tables import Cell, Row
from cli.terminal import duration_text, short_text

STATES = {
    "open": Cell("open", "cyan"),
    "retry": Cell("in back-off", "yellow"),
    "in_flight": Cell("in flight", "green"),
    "replying": Cell("replying", "yellow"),
    "redriven": Cell("redriven", "yellow"),
    "paused": Cell("paused", "dim"),
    "broken": Cell("broken", "bold red"),
}
STYLES = {
    "acked": "green",
    "superseded": "dim",
    "dead": "bold red",
    "discarded": "yellow",
    "dropped": "yellow",
    "failed_after_sent": "red",
}


def pending_row(found: Pending, now_ms: int, show: bool) -> Row:
    """Return the cells of a conversation."""
    due = due_text(found.due_ms - now_ms)
    if found.state != "in_flight" and 0 <= now_ms - found.due_ms <= OVERDUE_MS:
        due = "now"
    return who_text(found.conversation, show), str(found.messages), STATES[found.state], due, found.ref


def due_text(left_ms: int) -> str:
    """Return when a moment is that is `left_ms` away."""
    return f"in {duration_text(left_ms)}" if left_ms >= 0 else f"{duration_text(-left_ms)} ago"


def record_cells(record: FlushRecord, show: bool) -> Row:
    """Return the cells of a record that every list of records has, from the conversation to the outcome."""
    return (
        who_text(record.conversation, show),
        "a part" if record.part else str(record.messages),
        record.reason or "-",
        short_text(waited_ms(record)),
        short_text(late_ms(record)),
        Cell(f"{record.outcome} ({record.cause})" if record.cause else record.outcome, STYLES.get(record.outcome, "")),
    )


def waited_ms(record: FlushRecord) -> int | None:
    """Return how long the first message waited until the batch was claimed, or until it was discarded."""
    if record.opened_ms is None:
        return None
    return max(0, (record.claimed_ms or record.closed_ms or record.ended_ms) - record.opened_ms)


def late_ms(record: FlushRecord) -> int | None:
    """Return how long after its deadline the batch was claimed."""
    if record.claimed_ms is None or record.due_ms is None:
        return None
    return max(0, record.claimed_ms - record.due_ms)
