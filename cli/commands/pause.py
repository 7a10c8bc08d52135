"""`debouncer pause`: the bot says nothing to a person for a while."""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime

from buffer.models import Conversation, PauseMode
from cli.commands.pending import who_text
from cli.names import conversation_named, is_known
from cli.options import load_settings_with_flags
from cli.target import Unreachable, open_store, require_server
from config.settings import Settings

MODES = {
    PauseMode.HOLD: "what they write waits, and no reply leaves",
    PauseMode.TAKEOVER: "a human answers; what waited and what they write meanwhile is discarded, with a record",
}
UNKNOWN = "Nobody by that name has written there yet: is it written as the gateway writes it?"


def run(args: argparse.Namespace) -> int:
    """Return 0, or 1 if Redis cannot be used. Raises SettingsError."""
    settings = require_server(load_settings_with_flags(args))
    who = conversation_named(args.channel, args.person)
    mode = PauseMode.TAKEOVER if args.takeover else PauseMode.HOLD
    try:
        was_known, until_ms = asyncio.run(_pause(settings, who, int(args.seconds * 1000), mode))
    except Unreachable as error:
        print(f"debouncer pause: {error}", file=sys.stderr)
        return 1
    until = datetime.fromtimestamp(until_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    print(f"{who_text(who)} is paused until {until}: {MODES[mode]}.")
    if not was_known:
        print(UNKNOWN, file=sys.stderr)
    return 0


async def _pause(settings: Settings, who: Conversation, pause_ms: int, mode: PauseMode) -> tuple[bool, int]:
    async with open_store(settings) as store:
        return await is_known(store, who), await store.pause(who, pause_ms, mode)
