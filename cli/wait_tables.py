"""The figures of the wait for `debouncer stats`: what was counted of turns, and what fixed windows would do."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from buffer.figures import SPLIT_SHARE_MAX, Figures
from buffer.insight_models import BOUNDS_MS
from buffer.outlooks import Outlook, gaps_of, is_known, outlooks, recommended_s
from buffer.present_policy import PresentPolicy
from buffer.window_policy import TURNS_MIN
from cli.tables import Cell, Column, Row
from cli.terminal import share_text, short_text

WAITS = (
    Column("channel"),
    Column("window"),
    Column("turns", is_number=True),
    Column("split", is_number=True),
    Column("premature", is_number=True),
    Column("wait", is_number=True),
    Column("p90 at most", is_number=True),
    Column("reply", is_number=True),
    Column("p90 at most", is_number=True),
    Column("calls per turn", is_number=True, optional=True),
    Column("restarts", is_number=True, optional=True),
)
WINDOWS = (
    Column("window", is_number=True),
    Column("split", is_number=True),
    Column("premature", is_number=True),
    Column("wait", is_number=True),
    Column("calls per turn", is_number=True),
    Column(""),
)


def wait_row(name: str, window: str, figures: Figures) -> Row:
    """Return the row of a channel, or of all, in the table WAITS."""
    return (
        name,
        window,
        str(figures.turns),
        Cell(share_text(figures.split_share), "yellow" if (figures.split_share or 0) > SPLIT_SHARE_MAX else ""),
        _ratio(figures.premature_per_turn),
        short_text(figures.mean_ms("wait_ms")),
        _at_most(figures, "wait_ms"),
        short_text(figures.mean_ms("reply_ms")),
        _at_most(figures, "reply_ms"),
        _ratio(figures.calls_per_turn),
        str(figures.restarts) if figures.restarts else "-",
    )


def window_rows(figures: Figures, policy: PresentPolicy) -> list[Row]:
    """Return a row of the table WINDOWS for each fixed window, and for the present one if it is fixed."""
    return [_window_row(one) for one in _outlooks(figures, policy)]


def _outlooks(figures: Figures, policy: PresentPolicy) -> list[Outlook]:
    return outlooks(figures, policy.window_s if policy.kind == "fixed" else None)


def _window_row(outlook: Outlook) -> Row:
    style = "bold" if outlook.is_present else ""
    texts = (
        f"{outlook.window_s:g} s",
        share_text(outlook.split_share),
        _ratio(outlook.premature_per_turn),
        f"{outlook.window_s:g} s",
        _ratio(outlook.calls_per_turn),
        "as now" if outlook.is_present else "",
    )
    return tuple(Cell(text, style) for text in texts)


def _at_most(figures: Figures, histogram: str) -> str:
    """Return the bound that nine of ten do not exceed."""
    bound_ms = figures.at_most_ms(histogram, 0.9)
    if bound_ms is None:
        return "-"
    last_ms = BOUNDS_MS[histogram][-2]
    return f"{bound_ms / 1000:g} s" if math.isfinite(bound_ms) else f"> {last_ms / 1000:g} s"


def _finite(number: float | None) -> float | None:
    """Return a number as JSON can have it: null stands for one that is unknown or beyond all bounds."""
    return number if number is not None and math.isfinite(number) else None


def _ratio(number: float | None) -> str:
    return "-" if number is None else f"{number:.2f}"


def advice(figures: Figures, policy: PresentPolicy) -> Iterator[str]:
    """Yield what there is to say below the table WINDOWS."""
    if not is_known(figures):
        yield f"This is a guess: the gaps of {figures.gap_turns} turns are known, and it takes {TURNS_MIN}."
    if policy.kind == "auto":
        yield "Each channel finds its own window (MESSAGE_BUFFER_TIMEOUT=auto)."
    elif policy.window_s is None:
        yield "These channels have several windows: name one to see what another window would do for it."
    elif best_s := recommended_s(figures):
        yield f"The shortest window that splits at most 1 turn of 20: {best_s} s (MESSAGE_BUFFER_TIMEOUT)."


def wait_body(figures: Figures) -> dict[str, Any]:
    """Return the figures of the wait for `--json`. What was not counted yet is null."""
    return {
        "turns": figures.turns,
        "split_share": figures.split_share,
        "premature_per_turn": figures.premature_per_turn,
        "wait_mean_ms": figures.mean_ms("wait_ms"),
        "wait_p90_at_most_ms": _finite(figures.at_most_ms("wait_ms", 0.9)),
        "reply_mean_ms": figures.mean_ms("reply_ms"),
        "reply_p90_at_most_ms": _finite(figures.at_most_ms("reply_ms", 0.9)),
        "calls_per_turn": figures.calls_per_turn,
        "restarts": figures.restarts,
        "gap_turns": figures.gap_turns,
    }


def windows_body(figures: Figures, policy: PresentPolicy) -> Iterable[dict[str, Any]]:
    """Return what fixed windows would do for `--json`."""
    return [{**one._asdict(), "calls_per_turn": one.calls_per_turn} for one in _outlooks(figures, policy)]


def has_outlook(figures: Figures) -> bool:
    """Return True if there are gaps and turns from which to foretell anything."""
    return gaps_of(figures) is not None
