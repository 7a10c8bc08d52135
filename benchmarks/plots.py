"""The growth curves as pictures for docs/benchmarks.md."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

from benchmarks.figures import Figure, Missing

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

DOCS = Path(__file__).parents[1] / "docs"
LATENESS, MEMORY = "benchmarks-lateness.png", "benchmarks-memory.png"
STYLES = [("#0b6e4f", "o-", 2.4), ("#0b6e4f", "o--", 1.4), ("#c1440e", "s-", 1.6), ("#6c4ab6", "^-", 1.6)]
CEILING_MS = 30_000


class Curve(NamedTuple):
    """One line: a figure for each number of pending conversations."""

    label: str
    values: dict[int, Figure]


def draw_lateness(curves: list[Curve], target_ms: float) -> None:
    """Lateness against pending conversations."""
    axes = _axes("How late the agent gets a burst, at 300 flushes/s", "deadline → agent has the request (ms)")
    for curve, style in zip(curves, STYLES, strict=True):
        _line(axes, curve, style)
    _target(axes, target_ms, f"target for the p99: {target_ms:g} ms")
    _save(axes, LATENESS)


def draw_memory(curves: list[Curve], target_bytes: float) -> None:
    """Memory per conversation against pending conversations."""
    axes = _axes("Memory of one pending conversation with three short messages", "bytes per conversation")
    for curve, style in zip(curves, [STYLES[0], *STYLES[2:], ("#333333", "D", 1.6)], strict=True):
        _line(axes, curve, style)
    _target(axes, target_bytes, f"target: {target_bytes:g} bytes")
    axes.set_ylim(400, 10_000)
    _save(axes, MEMORY)


def _axes(title: str, ylabel: str) -> Any:
    axes = pyplot.figure(figsize=(8, 4.8)).add_subplot()
    axes.set(title=title, xlabel="conversations pending", ylabel=ylabel, xscale="log", yscale="log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.grid(which="major", color="#dddddd")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return axes


def _line(axes: Any, curve: Curve, style: tuple[str, str, float]) -> None:
    """What is missing has no point; what never came stands at the ceiling, named so."""
    known = {size: value for size, value in curve.values.items() if not isinstance(value, Missing)}
    shown = {size: min(value, CEILING_MS) for size, value in known.items()}
    color, marker, width = style
    axes.plot(list(shown), list(shown.values()), marker, color=color, linewidth=width, label=curve.label)
    for size, value in known.items():
        if math.isinf(value):
            axes.annotate("more than\n30 s", (size, CEILING_MS), (6, -14), textcoords="offset points", color=color)


def _target(axes: Any, value: float, label: str) -> None:
    axes.axhline(value, color="#888888", linestyle=":", linewidth=1.5, label=label)


def _save(axes: Any, name: str) -> None:
    axes.legend(frameon=False, fontsize=9)
    axes.figure.tight_layout()
    axes.figure.savefig(DOCS / name, dpi=130)
    pyplot.close(axes.figure)
