"""`debouncer resume`: gives a person that was paused, or taken over by a human, back to the bot."""

from __future__ import annotations

import argparse
import asyncio
import sys

from buffer.models import Conversation
from cli.commands.pause import UNKNOWN
from cli.commands.pending import who_text
from cli.names import conversation_named, is_known
from cli.options import load_settings_with_flags
from cli.target import Unreachable, open_store, require_server
from config.settings import Settings


def run(args: argparse.Namespace) -> int:
    """Return 0, or 1 if Redis cannot be used or the person is unknown. Raises SettingsError."""
    settings = require_server(load_settings_with_flags(args))
    who = conversation_named(args.channel, args.person)
    try:
        was_known, was_paused = asyncio.run(_resume(settings, who))
    except Unreachable as error:
        print(f"debouncer resume: {error}", file=sys.stderr)
        return 1
    if not was_known:
        print(f"{who_text(who)} is not paused. {UNKNOWN}", file=sys.stderr)
        return 1
    print(f"{who_text(who)} {'goes on: what was held is delivered' if was_paused else 'is not paused'}.")
    return 0


async def _resume(settings: Settings, who: Conversation) -> tuple[bool, bool]:
    async with open_store(settings) as store:
        return await is_known(store, who), await store.resume(who)
