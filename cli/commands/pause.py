"""`debouncer pause`: the bot says nothing to a person for a while."""

from __future__ import annotations

import argparse
import sys

from buffer.models import PauseMode
from buffer.person_store import People
from buffer.store import Store
from cli.json_output import print_json
from cli.names import find, who_text
from cli.target import run_on_store
from cli.terminal import moment_text

MODES = {
    PauseMode.HOLD: "what they write waits, and no reply leaves",
    PauseMode.TAKEOVER: "a human answers; what waited and what they write meanwhile is discarded, with a record",
}
UNKNOWN = "Nobody by that name has written there yet: is it written as the gateway writes it?"


def run(args: argparse.Namespace) -> int:
    """Return 0, or 1 if Redis cannot be used or a ref is unknown. Raises SettingsError."""
    return run_on_store(args, _pause)


async def _pause(store: Store, args: argparse.Namespace) -> int:
    named = await find(store, args.channel, args.person)
    ref, who, view = named
    mode = PauseMode.TAKEOVER if args.takeover else PauseMode.HOLD
    until_ms = await People(store).pause(ref, who, int(args.seconds * 1000), mode)
    if args.json:
        print_json({"ref": named.name, "mode": mode, "paused_until_ms": until_ms, "was_known": view is not None})
    else:
        print(f"{who_text(who)} is paused until {moment_text(until_ms)}: {MODES[mode]}.")
    if view is None:
        print(UNKNOWN, file=sys.stderr)
    return 0
