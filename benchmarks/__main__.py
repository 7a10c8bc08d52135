"""`make bench`: measure, print one table, and write it to docs/benchmarks.md."""

from __future__ import annotations

import datetime
from pathlib import Path

from benchmarks import flush, gateways, memory, webhook
from benchmarks.machine import description, valkey
from benchmarks.table import as_markdown

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
METHOD = """Made by `make bench` on {day}. {machine}.

Each figure stands beside its baseline from the same run; machines differ and are noisy, so compare ratios. The process
that is measured has a core to itself; the server, the load and the agent share the other one. Webhook rows are the
best of three rounds of five seconds in turn, at LOG_LEVEL=WARNING. Flush rates count from the first flush to the last.
"""


def main() -> None:
    """Run every measurement, bounded to about five minutes."""
    with valkey() as url:
        machine = description(url)
        rows = [row for part in (webhook, gateways, flush, memory) for row in part.measure(url)]
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    text = f"# Benchmarks\n\n{METHOD.format(day=day, machine=machine)}\n{as_markdown(rows)}\n"
    PAGE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
