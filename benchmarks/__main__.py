"""Run `make bench`: measure, print one table and write docs/benchmarks.md. Named parts are only printed."""

from __future__ import annotations

import argparse
import datetime
import os
import time
from collections.abc import Callable, Iterator

from benchmarks.figures import Missing, attempt
from benchmarks.machine import OTHER_CORE, description
from benchmarks.page import Run, write_page
from benchmarks.parts import (
    dashboard,
    dispatchers,
    durability,
    flush,
    gateways,
    growth,
    idle,
    in_flight,
    replies,
    webhook,
)
from benchmarks.peers import pinned_versions
from benchmarks.table import Row, as_markdown
from benchmarks.usage import OtherProcesses

PARTS: dict[str, Callable[[], Iterator[Row]]] = {
    "webhook": webhook.measure,
    "durability": durability.measure,
    "gateways": gateways.measure,
    "flush": flush.measure,
    "in-flight": in_flight.measure,
    "replies": replies.measure,
    "growth": growth.measure,
    "dispatchers": dispatchers.measure,
    "idle": idle.measure,
    "dashboard": dashboard.measure,
}


def main() -> None:
    """Run all measurements, or the named parts."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"one of {', '.join(PARTS)}; none: all of them")
    names = parser.parse_args().parts
    if unknown := set(names) - PARTS.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    os.sched_setaffinity(0, {OTHER_CORE})
    began, others = time.monotonic(), OtherProcesses()
    rows = [row for name in names or PARTS for row in _rows(name)]
    table = as_markdown(rows)
    print(table)
    if not names:
        minutes = (time.monotonic() - began) / 60
        day = datetime.datetime.now(datetime.UTC).date().isoformat()
        write_page(table, Run(day, description(), pinned_versions(), minutes, others.cpu_percent()))


def _rows(name: str) -> list[Row]:
    """Return the rows of a part. A part that fails keeps its rows so far and adds one with the reason."""
    print(f"measuring {name} ...", flush=True)
    began, others, rows = time.monotonic(), OtherProcesses(), list[Row]()

    def collect() -> None:
        rows.extend(PARTS[name]())

    if isinstance(reason := attempt(collect), Missing):
        rows.append(Row(f"{name}: all further rows", reason))
    took_s, percent = time.monotonic() - began, others.cpu_percent()
    print(f"  {took_s:.0f} s. Other processes took {percent:.0f} % of the CPU", flush=True)
    return rows


if __name__ == "__main__":
    main()
