"""What the commands on dead letters and on parts in doubt share: an operation on each id, and a warning."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence

from cli.json_output import print_json
from cli.target import open_queue
from config.settings import Settings
from worker.rq.heartbeats import live_worker_hosts
from worker.rq.suspension import is_suspended

FAILED = ("unknown", "gone")
"""Results that go to stderr and make the exit code 1."""


async def each_id(
    ids: Sequence[str], operation: Callable[[str], Awaitable[str]], texts: Mapping[str, str], args: argparse.Namespace
) -> int:
    """Run an operation on each id and print its result in the words of `texts`. Return 1 if one is of FAILED, else 0.

    An operation raises ValueError for a text that is no id. With `--json` a result is one line, also a failed one.
    """
    code = 0
    for one in ids:
        try:
            result = await operation(one)
        except ValueError:
            result = "unknown"
        code = 1 if result in FAILED else code
        _print(one, result, texts[result], args)
    return code


def _print(one: str, result: str, text: str, args: argparse.Namespace) -> None:
    if args.json:
        name = "id" if args.command == "doubt" else "flush_id"
        print_json({name: one, "action": args.action, "result": result})
    else:
        print(f"{one} {text}", file=sys.stderr if result in FAILED else sys.stdout)


async def warn_if_nobody_works(settings: Settings) -> None:
    """Print a warning if what was handed to the workers stays where it is. Raises Unreachable."""
    async with open_queue(settings) as client:
        if await is_suspended(client):
            print("The queue is suspended: nothing is sent until `rq resume`.", file=sys.stderr)
        if not await live_worker_hosts(client, settings.rq_queue):
            print("No worker is alive: nothing is sent until one runs.", file=sys.stderr)
