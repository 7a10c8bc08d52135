"""`debouncer stats`: totals per channel, how long people wait, their gaps, and what fixed windows would do."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from buffer.auto_windows import Channel, Present, present_windows
from buffer.figures import Figures, bars, figures_of
from buffer.insight_models import ChannelTotals, Histogram
from buffer.insights import Insights
from buffer.outlooks import recommended_s
from buffer.present_policy import PresentPolicy, policies_of, policy_text, present_policy
from buffer.store import Store
from buffer.windows import window_text
from cli.json_output import print_json
from cli.names import channel_named
from cli.tables import Cell, Column, Row, print_table
from cli.target import Unknown, run_on_store
from cli.terminal import short_text
from cli.wait_tables import WAITS, WINDOWS, advice, has_outlook, wait_body, wait_row, window_rows, windows_body
from config.logs import mask_phones
from config.routes import load_routes

CHANNELS = (
    Column("channel"),
    Column("messages", is_number=True),
    Column("calls", is_number=True),
    Column("per call", is_number=True),
    Column("calls saved", is_number=True),
    Column("duplicates", is_number=True, optional=True),
    Column("late p50", is_number=True, optional=True),
    Column("late p95", is_number=True, optional=True),
)
GAPS = (Column("gap up to", is_number=True), Column("messages", is_number=True), Column(""))
BAR_WIDTH = 40
OTHERS = "(other)"
"""The name of the channels that are counted together, because there are too many."""


class Stats(NamedTuple):
    """What `stats` tells. `windows` are those of the channels, `policy` is how long all of them wait."""

    totals: list[ChannelTotals]
    all: Figures
    windows: Mapping[Channel, Present]
    policy: PresentPolicy


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
    stats = Stats(totals, figures_of(totals), windows, present_policy(policies_of(routes, windows)))
    if args.json:
        print_json({"now_ms": (await insights.gauges()).now_ms, **_body(stats)})
    elif totals:
        _print(stats)
    else:
        print("Nothing was counted yet.")
    return 0


def _print(stats: Stats) -> None:
    totals, together = stats.totals, stats.all
    rows = [_row(_name(one), figures_of([one])) for one in totals]
    print_table(CHANNELS, [*rows, _row("all", together)] if len(rows) > 1 else rows)
    print(_saved_text(together))
    print("", "How long people wait, and how often they were cut off, since the first start:", sep="\n")
    print_table(WAITS, _wait_rows(stats))
    if not has_outlook(together):
        print("", "No turn had two messages yet, so nothing can be said about other windows.", sep="\n")
        return
    print("", "Gaps between the messages of a person, also across calls:", sep="\n")
    print_table(GAPS, _gap_rows(together.histograms["gap"], stats.policy.window_s))
    print(
        "", f"If the window were fixed, by the gaps of {together.gap_turns} turns (they count half each day):", sep="\n"
    )
    print_table(WINDOWS, window_rows(together, stats.policy))
    print(*advice(together, stats.policy), sep="\n")


def _name(one: ChannelTotals) -> str:
    return f"{one.gateway}/{mask_phones(one.channel)}" if one.gateway else OTHERS


def _window(stats: Stats, one: ChannelTotals) -> str:
    present = stats.windows.get((one.gateway, one.channel))
    return window_text(present) if present else ""


def _row(name: str, figures: Figures) -> Row:
    counters, per_call = figures.counters, figures.messages_per_call
    return (
        name,
        str(counters["messages_accepted"]),
        str(figures.calls),
        "-" if per_call is None else f"{per_call:.2f}",
        str(figures.calls_saved),
        str(counters["messages_duplicate"]),
        short_text(figures.quantile_ms("lateness_ms", 0.5)),
        short_text(figures.quantile_ms("lateness_ms", 0.95)),
    )


def _wait_rows(stats: Stats) -> list[Row]:
    rows = [wait_row(_name(one), _window(stats, one), figures_of([one])) for one in stats.totals]
    return [*rows, wait_row("all", "", stats.all)] if len(rows) > 1 else rows


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


def _body(stats: Stats) -> dict[str, Any]:
    """Return the object of `--json`. Phone numbers are masked in the names of channels."""
    return {
        "policy": policy_text(stats.policy),
        "window_s": stats.policy.window_s,
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
        "windows": windows_body(stats.all, stats.policy),
    }


def _window_body(present: Present | None) -> dict[str, Any] | None:
    """Return the window of a channel, null for the channels that are counted together."""
    return {"window_ms": present.window_ms, "why": present.window_why} if present else None


def _figures_body(figures: Figures) -> dict[str, Any]:
    return {
        "calls": figures.calls,
        "messages_per_call": figures.messages_per_call,
        "calls_saved": figures.calls_saved,
        "wait": wait_body(figures),
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
