"""`debouncer resume`: gives a person that was paused, or taken over by a human, back to the bot."""

from __future__ import annotations

import argparse
import sys

from buffer.person_store import People
from buffer.store import Store
from cli.commands.pause import UNKNOWN
from cli.json_output import print_json
from cli.names import find, who_text
from cli.target import run_on_store


def run(args: argparse.Namespace) -> int:
    """Return 0, or 1 if Redis cannot be used or the person is unknown. Raises SettingsError."""
    return run_on_store(args, _resume)


async def _resume(store: Store, args: argparse.Namespace) -> int:
    named = await find(store, args.channel, args.person)
    ref, who, view = named
    was_paused = await People(store).resume(ref)
    if args.json:
        print_json({"ref": named.name, "was_paused": was_paused})
    if view is None:
        print(f"{who_text(who)} is not paused. {UNKNOWN}", file=sys.stderr)
        return 1
    if not args.json:
        print(f"{who_text(who)} {'goes on: what was held is delivered' if was_paused else 'is not paused'}.")
    return 0
