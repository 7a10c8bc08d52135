"""The table of results: each row has our figure, the baseline of the same run, and their ratio."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One comparison; `less` when the smaller figure is the better one, no baseline for figures that stand alone."""

    what: str
    ours: float
    against: str = ""
    baseline: float | None = None
    less: bool = False


def as_markdown(rows: list[Row]) -> str:
    """The table as Markdown."""
    lines = ["| what | ours | against | baseline | ratio |", "|---|---:|---|---:|---:|"]
    for row in rows:
        lines.append(f"| {row.what} | {_figure(row.ours)} | {row.against} | {_figure(row.baseline)} | {_ratio(row)} |")
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"


def _ratio(row: Row) -> str:
    if not row.baseline or not row.ours:
        return ""
    ratio = row.baseline / row.ours if row.less else row.ours / row.baseline
    return f"{ratio:.2f}"
