"""The table of results: each row has our figure, the baseline of the same run, and their ratio."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.figures import Figure, Missing


class Row(NamedTuple):
    """One comparison; `less` when the smaller figure is the better one, no baseline for figures that stand alone.

    `at_least`: the baseline is only known to be larger than this.
    """

    what: str
    ours: Figure
    against: str = ""
    baseline: Figure | None = None
    less: bool = False
    at_least: bool = False


def as_markdown(rows: Sequence[Row]) -> str:
    """The table as Markdown; every figure that is missing is explained below it."""
    lines = ["| what | ours | against | baseline | ratio |", "|---|---:|---|---:|---:|"]
    missing: list[str] = []
    for row in rows:
        ours, baseline = _cell(row.ours, missing), _cell(row.baseline, missing)
        more = "> " if row.at_least and baseline else ""
        lines.append(f"| {row.what} | {ours} | {row.against} | {more}{baseline} | {_ratio(row)} |")
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
    """Above 1, ours is the better figure; none where one of the two is missing, zero or negative."""
    ours, baseline = row.ours, row.baseline
    if baseline is None or isinstance(ours, Missing) or isinstance(baseline, Missing) or min(ours, baseline) <= 0:
        return ""
    ratio = baseline / ours if row.less else ours / baseline
    return (
        f"{'> ' if row.at_least else ''}{ratio:,.0f}" if ratio >= 100 else f"{'> ' if row.at_least else ''}{ratio:.2f}"
    )
