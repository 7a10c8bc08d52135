"""Draw the growth curves for docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import matplotlib

from benchmarks import expiry
from benchmarks.figures import Figure, Missing

matplotlib.use("Agg")
from matplotlib import pyplot

DOCS = Path(__file__).parents[1] / "docs"
LATENESS_PICTURE, MEMORY_PICTURE = "benchmarks-lateness.png", "benchmarks-memory.png"
WAIT_PICTURE = "the-wait.png"
OURS, OURS_DASHED = ("#0b6e4f", "o-", 2.4), ("#0b6e4f", "o--", 1.4)
IN_PROCESS, EVENTS = ("#c1440e", "s-", 1.6), ("#6c4ab6", "^-", 1.6)
NAIVE, BULLMQ = ("#2a6f97", "v-", 1.6), ("#333333", "D", 1.6)
COLORS = ("#333333", "#0b6e4f", "#c1440e", "#6c4ab6", "#2a6f97", "#b8860b")
TARGET = {"color": "#888888", "linestyle": ":", "linewidth": 1.5}
CEILING_MS = expiry.LATENESS_MAX_S * 1000


class Curve(NamedTuple):
    """One line of a picture: a figure for each number of pending conversations, and notes on some points."""

    label: str
    style: tuple[str, str, float]
    values: Mapping[int, Figure]
    notes: Mapping[int, str] = MappingProxyType({})


def draw_lateness(curves: list[Curve], target_ms: float) -> None:
    """Draw lateness against pending conversations."""
    axes = _axes("How late the agent gets a burst, at 300 flushes/s", "deadline → agent has the request (ms)")
    axes.set(yscale="log", ylim=(0.5, 2 * CEILING_MS))
    for curve in curves:
        _line(axes, curve)
    axes.axhline(target_ms, label=f"target for the p99: {target_ms:g} ms", **TARGET)
    _save(axes, LATENESS_PICTURE)


def draw_memory(curves: list[Curve], target_bytes: float) -> None:
    """Draw memory per conversation against pending conversations."""
    axes = _axes("Memory of one pending conversation with three short messages", "bytes per conversation")
    for curve in curves:
        _line(axes, curve)
    axes.axhline(target_bytes, label=f"target: {target_bytes:,g} bytes", **TARGET)
    axes.set_ylim(bottom=0)
    _save(axes, MEMORY_PICTURE)


class Trace(NamedTuple):
    """One line of the picture of the wait: a point for each setting, (mean wait in s, split turns in %)."""

    label: str
    points: list[tuple[float, float]]


def draw_wait(traces: list[Trace], goal: tuple[float, float]) -> None:
    """Draw split turns against the wait. `goal` is the corner below and left of which the goal is met."""
    axes = _axes(
        "Answers that come too early, and the wait for all answers", "split turns (%)", "mean wait (s)", "linear"
    )
    styles = zip(cycle(COLORS), [*["-"] * len(COLORS), *["--"] * len(COLORS)], strict=False)
    for trace, (color, line) in zip(traces, styles, strict=False):
        axes.plot(*zip(*trace.points, strict=True), line, marker="o", markersize=4, color=color, label=trace.label)
    wait_s, split = goal
    axes.fill_between([0, wait_s], split, color="#888888", alpha=0.15, label="goal: fixed 8 s, at half its wait")
    axes.set(xlim=(0, None), ylim=(0, None))
    _save(axes, WAIT_PICTURE)


def _axes(title: str, ylabel: str, xlabel: str = "conversations pending", xscale: str = "log") -> Any:
    axes = pyplot.figure(figsize=(8, 5.4), layout="constrained").add_subplot()
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel, xscale=xscale)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(which="major", color="#dddddd")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return axes


def _line(axes: Any, curve: Curve) -> None:
    """Draw one curve. A missing figure has no point, and an infinite one is drawn at CEILING_MS."""
    known = {size: value for size, value in curve.values.items() if not isinstance(value, Missing)}
    color, marker, width = curve.style
    values = [min(value, CEILING_MS) for value in known.values()]
    axes.plot(list(known), values, marker, color=color, linewidth=width, label=curve.label)
    for size, note in curve.notes.items():
        where = (size, min(float(known[size]), CEILING_MS))
        axes.annotate(note, where, (8, -24), textcoords="offset points", color=color, fontsize=9)


def _save(axes: Any, name: str) -> None:
    """Save a picture with the legend below it, so that the legend covers no point."""
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.figure.legend(edgecolor="none", fontsize=9, loc="outside lower center", ncols=2)
    axes.figure.savefig(DOCS / name, dpi=130)
    pyplot.close(axes.figure)
