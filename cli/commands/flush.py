"""`debouncer flush`: sends the open burst of a conversation now."""

from __future__ import annotations

import argparse
import sys

from buffer.insight_models import ConversationView
from buffer.person_store import People
from buffer.store import Store
from cli.by_id import warn_if_nobody_works
from cli.commands.pause import UNKNOWN
from cli.json_output import print_json
from cli.names import find, who_text
from cli.target import run_on_store
from cli.terminal import count_of, moment_text


def run(args: argparse.Namespace) -> int:
    """Return 0, or 1 if Redis cannot be used or the person is unknown. Raises SettingsError."""
    return run_on_store(args, _flush)


async def _flush(store: Store, args: argparse.Namespace) -> int:
    named = await find(store, args.channel, args.person)
    ref, who, view = named
    messages = await People(store).flush_now(ref)
    if args.json:
        print_json({"ref": named.name, "messages": messages})
    if view is None:
        print(f"{who_text(who)} has no open burst. {UNKNOWN}", file=sys.stderr)
        return 1
    if not args.json:
        burst = f"{count_of(messages, 'message')} {_when(view)}"
        print(f"{who_text(who)}: {burst if messages else 'no open burst, so nothing to send'}.")
    if messages:
        await warn_if_nobody_works(store.settings)
    return 0


def _when(view: ConversationView) -> str:
    """Return when an open burst that was closed now goes out."""
    if view.paused_until_ms is not None and view.paused_until_ms > view.now_ms:
        return f"due now, but the conversation is paused until {moment_text(view.paused_until_ms)}; `resume` ends that"
    if view.batch_messages:
        return "due now; they go out after the batch before them"
    return "due now"
