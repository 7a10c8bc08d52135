"""The arguments of the commands for operators: what waits, what ended, and what may be done about it."""

from __future__ import annotations

import argparse

from cli.arguments import (
    Commands,
    add_command,
    add_conversation,
    add_cursor,
    add_data_dir,
    add_limit,
    add_list,
    add_output,
    add_show,
    add_yes,
    duration_s,
)

OUTCOMES = ("acked", "superseded", "dead", "discarded", "dropped", "failed_after_sent")
"""How flushes, discards and parts end."""


def add_operations(commands: Commands) -> None:
    """Add all commands for operators."""
    status = add_command(commands, "status", "show what waits, what is in flight, what is dead, and who works")
    add_output(status)
    add_data_dir(status)
    _add_pending(commands)
    _add_flushes(commands)
    _add_dead(commands)
    _add_doubt(commands)
    _add_conversations(commands)
    _add_stats(commands)
    top = add_command(commands, "top", "watch all this live on one screen, until q or Ctrl-C")
    add_show(top)
    add_data_dir(top)


def _add_pending(commands: Commands) -> None:
    pending = add_command(commands, "pending", "list the conversations that wait, soonest first")
    add_list(pending)
    add_data_dir(pending)


def _add_flushes(commands: Commands) -> None:
    flushes = add_command(commands, "flushes", "list the flushes, discards and parts that ended, newest first")
    flushes.add_argument("--outcome", choices=OUTCOMES, help="only those that ended so")
    flushes.add_argument("--gateway", help="only those of a gateway, e.g. evolution")
    flushes.add_argument("--channel", help="only those of a channel, e.g. loja or evolution/loja")
    flushes.add_argument(
        "--conversation",
        nargs="+",
        metavar="NAME",
        help="only those of one conversation: GATEWAY/CHANNEL PERSON, or a ref of `pending`",
    )
    add_limit(flushes)
    add_cursor(flushes)
    add_show(flushes)
    add_output(flushes)
    add_data_dir(flushes)


def _add_dead(commands: Commands) -> None:
    dead = add_command(commands, "dead", "list the dead letters, send them again, or discard them")
    add_list(dead)
    add_data_dir(dead)
    actions = dead.add_subparsers(dest="action", metavar="ACTION")
    add_list(_action(actions, "list", "list them, oldest first (as without an action)"), inherits=True)
    retry = _action(actions, "retry", "send dead letters to the agent again, with the same key")
    retry.add_argument("flush_id", nargs="*", metavar="ID", help="flush ids from the list")
    retry.add_argument("--all", action="store_true", help="all of them, oldest first")
    discard = _action(actions, "discard", "delete dead letters for good, with a record")
    discard.add_argument("flush_id", nargs="+", metavar="ID", help="flush ids from the list")
    for action in (retry, discard):
        add_output(action, inherits=True)


def _action(actions: Commands, name: str, summary: str) -> argparse.ArgumentParser:
    return actions.add_parser(name, help=summary, description=summary)


def _add_doubt(commands: Commands) -> None:
    doubt = add_command(commands, "doubt", "list the parts of answers in doubt, send them again, or drop them")
    _add_doubt_list(doubt)
    add_data_dir(doubt)
    actions = doubt.add_subparsers(dest="action", metavar="ACTION")
    _add_doubt_list(_action(actions, "list", "list them, oldest first (as without an action)"), inherits=True)
    for name, summary in (("send", "send them again, perhaps twice"), ("drop", "drop them, with a record")):
        action = _action(actions, name, summary)
        action.add_argument("doubt_id", nargs="*", metavar="ID", help="ids from the list")
        action.add_argument("--all", action="store_true", help="all of them, oldest first")
        add_output(action, inherits=True)


def _add_doubt_list(command: argparse.ArgumentParser, *, inherits: bool = False) -> None:
    add_list(command, inherits=inherits)
    without = argparse.SUPPRESS if inherits else False
    command.add_argument("--text", action="store_true", default=without, help="show the texts, too")


def _add_conversations(commands: Commands) -> None:
    flush = add_command(commands, "flush", "send the open burst of a conversation now")
    discard = add_command(commands, "discard", "discard what a conversation holds, with a record; asks first")
    pause = add_command(commands, "pause", "hold a person's messages and replies for a while")
    resume = add_command(commands, "resume", "give a person that was paused, or taken over by a human, back to the bot")
    erase = add_command(commands, "erase", "delete everything that is held of a person; asks first")
    pause.add_argument(
        "--for", dest="seconds", type=duration_s, default=3600, metavar="S", help="seconds (default: 3600)"
    )
    pause.add_argument("--takeover", action="store_true", help="a human answers: what waits is discarded")
    for command in (discard, erase):
        add_yes(command)
    for command in (flush, discard, pause, resume, erase):
        add_conversation(command)
        add_output(command)
        add_data_dir(command)


def _add_stats(commands: Commands) -> None:
    stats = add_command(commands, "stats", "show totals per channel, and which window would split how many bursts")
    stats.add_argument("channel", nargs="?", metavar="GATEWAY/CHANNEL", help="one channel alone, e.g. evolution/loja")
    add_output(stats)
    add_data_dir(stats)
