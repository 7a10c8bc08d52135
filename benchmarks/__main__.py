"""`make bench`: measure, print one table and write it to docs/benchmarks.md; parts that are named are only printed."""

from __future__ import annotations

import argparse
import datetime
import os
import time
from collections.abc import Callable, Iterator

from benchmarks.figures import Missing, attempt
from benchmarks.machine import OTHER_CORE, description
from benchmarks.page import PAGE, Run, page
from benchmarks.parts import dispatchers, durability, flush, gateways, growth, idle, in_flight, webhook
from benchmarks.peers import wanted
from benchmarks.table import Row, as_markdown
from benchmarks.usage import Quiet

PARTS: dict[str, Callable[[], Iterator[Row]]] = {
    "webhook": webhook.measure,
    "durability": durability.measure,
    "gateways": gateways.measure,
    "flush": flush.measure,
    "in-flight": in_flight.measure,
    "growth": growth.measure,
    "dispatchers": dispatchers.measure,
    "idle": idle.measure,
}


def main() -> None:
    """Run every measurement, or those named."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"one of {', '.join(PARTS)}; none: all of them")
    names = parser.parse_args().parts
    if unknown := set(names) - PARTS.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    os.sched_setaffinity(0, {OTHER_CORE})
    began, quiet = time.monotonic(), Quiet()
    rows = [row for name in names or PARTS for row in _rows(name)]
    table = as_markdown(rows)
    print(table)
    if not names:
        minutes = (time.monotonic() - began) / 60
        day = datetime.datetime.now(datetime.UTC).date().isoformat()
        run = Run(day, description(), wanted(), minutes, quiet.others_percent())
        PAGE.write_text(page(table, run), encoding="utf-8")


def _rows(name: str) -> list[Row]:
    """A part's rows; one that breaks leaves a row that says so, and those before it."""
    print(f"measuring {name} ...", flush=True)
    began, quiet, rows = time.monotonic(), Quiet(), list[Row]()

    def collect() -> None:
        rows.extend(PARTS[name]())

    if isinstance(why := attempt(collect), Missing):
        rows.append(Row(f"{name}: what follows", why))
    others = quiet.others_percent()
    print(f"  {time.monotonic() - began:.0f} s; other processes took {others:.0f} % of the machine", flush=True)
    return rows


if __name__ == "__main__":
    main()
