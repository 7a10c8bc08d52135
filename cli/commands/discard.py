"""`debouncer discard`: discards what a conversation holds, with a record."""

from __future__ import annotations

import argparse
import sys

from buffer.insight_models import ConversationView
from buffer.person_store import People
from buffer.store import Store
from cli.commands.pause import UNKNOWN
from cli.confirm import says_yes
from cli.json_output import print_json
from cli.names import find, who_text
from cli.target import run_on_store
from cli.terminal import count_of

IN_FLIGHT = "A batch is at the agent: its call is given up as soon as its worker hears of it."


def run(args: argparse.Namespace) -> int:
    """Return 0, or 1 if nothing was discarded because of a no, an unknown person or Redis. Raises SettingsError."""
    return run_on_store(args, _discard)


async def _discard(store: Store, args: argparse.Namespace) -> int:
    named = await find(store, args.channel, args.person)
    ref, who, view = named
    if view is None:
        print(f"{who_text(who)} holds nothing. {UNKNOWN}", file=sys.stderr)
        return 1
    question = f"Discard {_held(view)} of {who_text(who)}? No agent will get them. [y/N] "
    if view.state != "idle" and not (args.yes or says_yes(question)):
        print("Nothing was discarded.", file=sys.stderr)
        return 1
    messages, in_flight = await People(store).discard(ref)
    if args.json:
        print_json({"ref": named.name, "messages": messages, "in_flight": in_flight})
        return 0
    discarded = f"{count_of(messages, 'message')} discarded, with a record"
    print(f"{who_text(who)}: {discarded if messages or in_flight else 'nothing to discard'}.")
    if in_flight:
        print(IN_FLIGHT)
    return 0


def _held(view: ConversationView) -> str:
    return count_of(view.burst_messages + view.batch_messages, "message")
