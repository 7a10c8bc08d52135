"""Format the table of results. Each row has our figure, its baseline from the same run, and the ratio."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.figures import Figure, Missing


class Row(NamedTuple):
    """One comparison. `baseline` is None for a figure without one.

    `less`: the smaller figure is the better one. `at_least`: the true baseline is larger than `baseline`.
    """

    what: str
    ours: Figure
    against: str = ""
    baseline: Figure | None = None
    less: bool = False
    at_least: bool = False


def as_markdown(rows: Sequence[Row]) -> str:
    """Return the table as Markdown. The reason for each missing figure stands below it."""
    lines = ["| what | ours | against | baseline | ratio |", "|---|---:|---|---:|---:|"]
    missing: list[str] = []
    for row in rows:
        ours, baseline = _cell(row.ours, missing), _cell(row.baseline, missing)
        sign = "> " if row.at_least and baseline else ""
        lines.append(f"| {row.what} | {ours} | {row.against} | {sign}{baseline} | {_ratio(row)} |")
    if missing:
        lines += ["", *(f"[{number}] {reason}" + "  " for number, reason in enumerate(missing, 1))]
    return "\n".join(lines)


def _cell(value: Figure | None, missing: list[str]) -> str:
    if value is None:
        return ""
    if isinstance(value, Missing):
        if value not in missing:
            missing.append(value)
        return f"not measured [{missing.index(value) + 1}]"
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def _ratio(row: Row) -> str:
    """Return the ratio, above 1 if our figure is the better one. Empty if a figure is missing, zero or negative."""
    ours, baseline = row.ours, row.baseline
    if baseline is None or isinstance(ours, Missing) or isinstance(baseline, Missing) or min(ours, baseline) <= 0:
        return ""
    ratio = baseline / ours if row.less else ours / baseline
    return (
        f"{'> ' if row.at_least else ''}{ratio:,.0f}" if ratio >= 100 else f"{'> ' if row.at_least else ''}{ratio:.2f}"
    )
