"""What the parsers of the commands share: how a command is added, and the arguments that several have."""

from __future__ import annotations

import argparse
from typing import Protocol

SETTINGS_HINT = (
    "Settings are environment variables, or lines of .env such as AGENT_URL=http://...; `debouncer check` shows all."
)
ROWS_MAX = 100_000
"""Rows that a page may have, or leave out."""

YEAR_S = 31_536_000


class Commands(Protocol):
    """The object that `add_subparsers` returns; argparse has no public name for it."""

    def add_parser(
        self, name: str, *, help: str, description: str, epilog: str | None = None
    ) -> argparse.ArgumentParser: ...


def add_command(commands: Commands, name: str, summary: str) -> argparse.ArgumentParser:
    """Add a command that the module of its name in cli/commands/ runs."""
    command = commands.add_parser(name, help=summary, description=summary, epilog=SETTINGS_HINT)
    command.set_defaults(module="cli.commands." + name.replace("-", "_"))
    return command


def add_data_dir(command: argparse.ArgumentParser) -> None:
    """Add the folder of a running `up`."""
    command.add_argument("--data-dir", metavar="DIR", help="data folder of a running `up` (DATA_DIR)")


def add_output(command: argparse.ArgumentParser, *, inherits: bool = False) -> None:
    """Add the choice of the output. An action `inherits` what stands before its name, unless it says something else."""
    _add_switch(command, "--json", "print JSON, with the names of the admin API", inherits)


def add_show(command: argparse.ArgumentParser, *, inherits: bool = False) -> None:
    """Add the choice to see whom a list is about."""
    _add_switch(command, "--show", "show phone numbers, names and texts in clear", inherits)


def _add_switch(command: argparse.ArgumentParser, flag: str, summary: str, inherits: bool) -> None:
    default = argparse.SUPPRESS if inherits else False
    command.add_argument(flag, action="store_true", default=default, help=summary)


def add_list(command: argparse.ArgumentParser, *, inherits: bool = False) -> None:
    """Add the arguments of a list: a page, by a number of rows or by a cursor, and the output."""
    rows = argparse.SUPPRESS if inherits else 0
    add_limit(command, inherits=inherits)
    command.add_argument("--offset", type=natural, default=rows, metavar="N", help="rows to leave out (default: 0)")
    add_cursor(command, inherits=inherits)
    add_show(command, inherits=inherits)
    add_output(command, inherits=inherits)


def add_limit(command: argparse.ArgumentParser, *, inherits: bool = False) -> None:
    """Add the size of a page."""
    rows = argparse.SUPPRESS if inherits else 50
    command.add_argument("--limit", type=natural, default=rows, metavar="N", help="rows at most (default: 50)")


def add_cursor(command: argparse.ArgumentParser, *, inherits: bool = False) -> None:
    """Add the place at which a page begins."""
    begin = argparse.SUPPRESS if inherits else None
    command.add_argument("--cursor", default=begin, help="go on where a page ended: its `next_cursor`")


def add_conversation(command: argparse.ArgumentParser) -> None:
    """Add the two ways to name a conversation."""
    command.add_argument("channel", metavar="GATEWAY/CHANNEL", help="e.g. evolution/loja; or a ref of `pending` alone")
    command.add_argument("person", nargs="?", metavar="PERSON", help="the number, or the id of the chat")


def add_yes(command: argparse.ArgumentParser) -> None:
    """Add the answer to the question of a command."""
    command.add_argument("--yes", action="store_true", help="do not ask first")


def natural(text: str) -> int:
    """Read a number of rows."""
    if not (text.isascii() and text.isdecimal() and int(text) <= ROWS_MAX):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rows: write 0 to {ROWS_MAX}")
    return int(text)


def duration_s(text: str) -> float:
    """Read a duration of at most a year, in seconds."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= YEAR_S:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write seconds, at most a year ({YEAR_S})")
    return seconds
