"""`debouncer stats`: totals per channel, the gaps within bursts, and which window would split how many bursts."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from buffer.auto_windows import Channel, Present, common_window_s, present_windows
from buffer.figures import Figures, Outlook, bars, figures_of, outlooks, recommended_s
from buffer.insight_models import ChannelTotals, Histogram
from buffer.insights import Insights
from buffer.store import Store
from buffer.windows import window_text
from cli.json_output import print_json
from cli.names import channel_named
from cli.tables import Cell, Column, Row, print_table
from cli.target import Unknown, run_on_store
from cli.terminal import share_text, short_text
from config.logs import mask_phones
from config.routes import load_routes

CHANNELS = (
    Column("channel"),
    Column("messages", is_number=True),
    Column("calls", is_number=True),
    Column("per call", is_number=True),
    Column("calls saved", is_number=True),
    Column("split", is_number=True),
    Column("window"),
    Column("duplicates", is_number=True, optional=True),
    Column("late p50", is_number=True, optional=True),
    Column("late p95", is_number=True, optional=True),
)
GAPS = (Column("gap up to", is_number=True), Column("messages", is_number=True), Column(""))
WINDOWS = (
    Column("window", is_number=True),
    Column("splits", is_number=True),
    Column("calls per burst", is_number=True),
    Column("answer comes", is_number=True),
)
BAR_WIDTH = 40
OTHERS = "(other)"
"""The name of the channels that are counted together, because there are too many."""


class Stats(NamedTuple):
    """What `stats` tells. `window_s` is the present window of the channels, None if they have several.

    `windows` are those of each channel.
    """

    totals: list[ChannelTotals]
    all: Figures
    window_s: float | None
    windows: Mapping[Channel, Present]


def run(args: argparse.Namespace) -> int:
    """Return 0, or 1 if Redis cannot be used or nothing was counted for the channel.

    Raises SettingsError, also for a routes file that is wrong.
    """
    return run_on_store(args, _stats)


async def _stats(store: Store, args: argparse.Namespace) -> int:
    wanted = channel_named(args.channel) if args.channel else None
    insights = Insights(store)
    totals = sorted(await insights.totals(), key=lambda one: (not one.gateway, one.gateway, one.channel))
    totals = [one for one in totals if wanted in (None, (one.gateway, one.channel))]
    if wanted and not totals:
        raise Unknown(f"nothing was counted for {args.channel}; `debouncer stats` lists the channels")
    routes = load_routes(store.settings)
    windows = await present_windows(store, routes, [(one.gateway, one.channel) for one in totals if one.gateway])
    window_s = common_window_s(windows.values(), routes.default.settings)
    stats = Stats(totals, figures_of(totals), window_s, windows)
    if args.json:
        print_json({"now_ms": (await insights.gauges()).now_ms, **_body(stats)})
    elif totals:
        _print(stats)
    else:
        print("Nothing was counted yet.")
    return 0


def _print(stats: Stats) -> None:
    totals, together = stats.totals, stats.all
    rows = [_row(_name(one), figures_of([one]), _window(stats, one)) for one in totals]
    print_table(CHANNELS, [*rows, _row("all", together, "")] if len(rows) > 1 else rows)
    print(_saved_text(together))
    gaps = together.histograms.get("gap")
    if gaps is None or not gaps.count:
        print("", "No burst had two messages yet, so nothing can be said about the window.", sep="\n")
        return
    print("", "Gaps between the messages of a burst, also of one that was split:", sep="\n")
    print_table(GAPS, _gap_rows(gaps, stats.window_s))
    print("", "If the window were:", sep="\n")
    print_table(WINDOWS, [_window_row(one, stats.window_s) for one in outlooks(together, stats.window_s)])
    print(_advice(stats))


def _name(one: ChannelTotals) -> str:
    return f"{one.gateway}/{mask_phones(one.channel)}" if one.gateway else OTHERS


def _window(stats: Stats, one: ChannelTotals) -> str:
    present = stats.windows.get((one.gateway, one.channel))
    return window_text(present) if present else ""


def _row(name: str, figures: Figures, window: str) -> Row:
    counters, per_call = figures.counters, figures.messages_per_call
    return (
        name,
        str(counters["messages_accepted"]),
        str(figures.calls),
        "-" if per_call is None else f"{per_call:.2f}",
        str(figures.calls_saved),
        Cell(share_text(figures.split_share), "yellow" if (figures.split_share or 0) > 0.1 else ""),
        window,
        str(counters["messages_duplicate"]),
        short_text(figures.quantile_ms("lateness_ms", 0.5)),
        short_text(figures.quantile_ms("lateness_ms", 0.95)),
    )


def _saved_text(figures: Figures) -> str:
    today = figures.today
    return f"Since midnight (UTC): {today['messages']} messages in, {today['flushes']} calls out."


def _gap_rows(gaps: Histogram, window_s: float | None) -> list[Row]:
    """Return a row for each bucket up to the last that counts anything. Gaps above the window split a burst."""
    sign = _bar_sign()
    last = max(at for at, count in enumerate(gaps.counts) if count)
    rows = list(zip(gaps.bounds_ms, gaps.counts, bars(gaps.counts, BAR_WIDTH), strict=True))[: last + 1]
    return [
        (
            f"{bound_ms / 1000:.2f} s",
            str(count),
            Cell(sign * length, "yellow" if window_s and bound_ms > window_s * 1000 else "cyan"),
        )
        for bound_ms, count, length in rows
    ]


def _bar_sign() -> str:
    """Return the sign of a bar: a block where stdout can show one."""
    try:
        "█".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "#"
    return "█"


def _window_row(outlook: Outlook, present_s: float | None) -> Row:
    window_s = outlook.window_s
    later = "" if present_s is None else f"{window_s - present_s:+g} s"
    if outlook.is_present:
        later = "as now"
    style = "bold" if outlook.is_present else ""
    splits = f"{outlook.split_share * 100:.0f} %"
    return tuple(Cell(text, style) for text in (f"{window_s:g} s", splits, f"{outlook.calls_per_burst:.2f}", later))


def _advice(stats: Stats) -> str:
    if stats.window_s is None:
        return "These channels have several windows: name one to see what another window would do for it."
    best_s = recommended_s(stats.all)
    if best_s is None:
        return "There are too few gaps to recommend a window."
    return f"The shortest window that splits at most 1 of 20: {best_s} s (MESSAGE_BUFFER_TIMEOUT)."


def _body(stats: Stats) -> dict[str, Any]:
    """Return the object of `--json`. Phone numbers are masked in the names of channels."""
    return {
        "window_s": stats.window_s,
        "recommended_window_s": recommended_s(stats.all),
        "channels": [
            {
                "gateway": one.gateway,
                "channel": mask_phones(one.channel),
                "window": _window_body(stats.windows.get((one.gateway, one.channel))),
                **_figures_body(figures_of([one])),
            }
            for one in stats.totals
        ],
        "all": _figures_body(stats.all),
        "windows": [outlook._asdict() for outlook in outlooks(stats.all, stats.window_s)],
    }


def _window_body(present: Present | None) -> dict[str, Any] | None:
    """Return the window of a channel, null for the channels that are counted together."""
    return {"window_ms": present.window_ms, "why": present.window_why} if present else None


def _figures_body(figures: Figures) -> dict[str, Any]:
    return {
        "calls": figures.calls,
        "messages_per_call": figures.messages_per_call,
        "calls_saved": figures.calls_saved,
        "split_share": figures.split_share,
        "lateness_p50_ms": figures.quantile_ms("lateness_ms", 0.5),
        "lateness_p95_ms": figures.quantile_ms("lateness_ms", 0.95),
        "counters": dict(figures.counters),
        "today": dict(figures.today),
        "histograms": {name: _histogram_body(one) for name, one in figures.histograms.items()},
    }


def _histogram_body(histogram: Histogram) -> dict[str, Any]:
    """Return a histogram. The bound of the last bucket is null: JSON has no infinity."""
    bounds = [None if math.isinf(bound) else bound for bound in histogram.bounds_ms]
    return {**asdict(histogram), "bounds_ms": bounds}
