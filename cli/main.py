"""The `debouncer` command: parses the arguments, runs one command and prints its errors."""

from __future__ import annotations

import argparse
import difflib
import importlib
import io
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import NoReturn, Protocol

from buffer.errors import PartitionMismatch, UnsafeServer
from config.settings import SettingsError

INTERRUPTED = 130
SETTINGS_HINT = (
    "Settings are environment variables, or lines of .env such as AGENT_URL=http://...; `debouncer check` shows all."
)
INVALID_CHOICE = re.compile(r"argument (?P<kind>\w+): invalid choice: '(?P<word>.*)' \(choose from (?P<choices>.*)\)")
"""The error of argparse for a command that does not exist. Python 3.12 writes the choices without quotes."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. 2 means that it may not start, and stderr has the reason."""
    args = build_parser().parse_args(argv)
    _replace_unprintable()
    # Only the module of this command is imported: a health check must not wait for the other imports.
    command = importlib.import_module(args.module)
    try:
        return int(command.run(args))
    except (SettingsError, UnsafeServer, PartitionMismatch) as error:
        print(f"debouncer {args.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED


def _replace_unprintable() -> None:
    """Print `?` for a character that the encoding of stdout or stderr does not have, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


class _Parser(argparse.ArgumentParser):
    """A parser that suggests the command nearest to a misspelt one. Its subparsers are of this class, too."""

    def error(self, message: str) -> NoReturn:
        """Print the error with a suggestion, and exit with code 2."""
        found = INVALID_CHOICE.search(message)
        if found is None:
            super().error(message)
        choices = re.findall(r"[\w-]+", found["choices"])
        near = difflib.get_close_matches(found["word"], choices, n=1)
        suggestion = f"; did you mean `{near[0]}`?" if near else f". There are: {', '.join(choices)}"
        self.exit(2, f"{self.prog}: there is no {found['kind'].lower()} {found['word']!r}{suggestion}\n")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = _Parser(
        prog="debouncer", description="Holds a burst of messages until the person pauses, then calls the agent once."
    )
    parser.add_argument("--version", action="version", version=version("debouncer"))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_services(commands)
    _add_checks(commands)
    _add_operations(commands)
    _add_examples(commands)
    return parser


class _Commands(Protocol):
    """The object that `add_subparsers` returns; argparse has no public name for it."""

    def add_parser(self, name: str, *, help: str, description: str, epilog: str) -> argparse.ArgumentParser: ...


def _add(commands: _Commands, name: str, summary: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=summary, description=summary, epilog=SETTINGS_HINT)
    command.set_defaults(module="cli.commands." + name.replace("-", "_"))
    return command


def _add_services(commands: _Commands) -> None:
    up = _add(commands, "up", "run everything on this machine, with a server of its own when REDIS_URL is not set")
    _add_address(up)
    up.add_argument("--data-dir", metavar="DIR", help="where its own server keeps the messages (DATA_DIR)")
    serve = _add(commands, "serve", "run the webhook")
    _add_address(serve)
    serve.add_argument("--fd", type=int, metavar="FD", help="listen on this inherited socket, as systemd passes one")
    _add(commands, "worker", "run a flush worker")


def _add_address(command: argparse.ArgumentParser) -> None:
    command.add_argument("--host", help="address to listen on (HOST)")
    command.add_argument("--port", type=int, help="port to listen on (PORT)")
    command.add_argument("--workers", type=int, metavar="N", help="webhook processes (UVICORN_WORKERS)")


def _add_checks(commands: _Commands) -> None:
    check = _add(commands, "check", "show the settings and the routes, try every connection")
    check.add_argument("route", nargs="?", metavar="GATEWAY/CHANNEL", help="show the rules of one channel alone")
    check.add_argument(
        "--send", nargs=2, metavar=("GATEWAY/CHANNEL", "NUMBER"), help="send one test message, after asking"
    )
    check.add_argument("--yes", action="store_true", help="do not ask before --send")
    _add_data_dir(check)
    health = _add(commands, "health", "exit 0 when a process of this container is healthy, else 1")
    parts = health.add_subparsers(dest="part", required=True, metavar="PART")
    webhook = parts.add_parser("webhook", help="the webhook on this machine can store messages")
    webhook.add_argument("--port", type=int, help="port of the webhook (PORT)")
    worker = parts.add_parser("worker", help="a worker of this host reported within the last minute")
    _add_data_dir(worker)


def _add_data_dir(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data-dir", metavar="DIR", help="data folder of a running `up` (DATA_DIR)")


def _add_operations(commands: _Commands) -> None:
    _add_data_dir(_add(commands, "status", "show what waits, what is in flight, what is dead, and who works"))
    pending = _add(commands, "pending", "list the conversations that wait, soonest first")
    _add_page(pending)
    _add_data_dir(pending)
    dead = _add(commands, "dead", "list the dead letters, send them again, or discard them")
    _add_page(dead)
    _add_data_dir(dead)
    actions = dead.add_subparsers(dest="action", metavar="ACTION")
    _add_page(actions.add_parser("list", help="list them, oldest first (as without an action)"))
    retry = actions.add_parser("retry", help="send dead letters to the agent again, with the same key")
    retry.add_argument("flush_id", nargs="*", metavar="ID", help="flush ids from the list")
    retry.add_argument("--all", action="store_true", help="all of them, oldest first")
    discard = actions.add_parser("discard", help="delete dead letters for good, with a record")
    discard.add_argument("flush_id", nargs="+", metavar="ID", help="flush ids from the list")
    _add_doubt(commands)
    _add_pauses(commands)


def _add_doubt(commands: _Commands) -> None:
    doubt = _add(commands, "doubt", "list the parts of answers in doubt, send them again, or drop them")
    _add_doubt_page(doubt)
    _add_data_dir(doubt)
    actions = doubt.add_subparsers(dest="action", metavar="ACTION")
    _add_doubt_page(actions.add_parser("list", help="list them, oldest first (as without an action)"))
    for name, summary in (("send", "send them again, perhaps twice"), ("drop", "drop them, with a record")):
        action = actions.add_parser(name, help=summary)
        action.add_argument("doubt_id", nargs="*", metavar="ID", help="ids from the list")
        action.add_argument("--all", action="store_true", help="all of them, oldest first")


def _add_doubt_page(command: argparse.ArgumentParser) -> None:
    _add_page(command)
    command.add_argument("--text", action="store_true", help="show the texts, too")


def _add_pauses(commands: _Commands) -> None:
    pause = _add(commands, "pause", "hold a person's messages and replies for a while")
    resume = _add(commands, "resume", "give a person that was paused, or taken over by a human, back to the bot")
    for command in (pause, resume):
        command.add_argument("channel", metavar="GATEWAY/CHANNEL", help="e.g. evolution/loja")
        command.add_argument("person", metavar="PERSON", help="the number, or the id of the chat")
        _add_data_dir(command)
    pause.add_argument(
        "--for", dest="seconds", type=_duration_s, default=3600, metavar="S", help="seconds (default: 3600)"
    )
    pause.add_argument("--takeover", action="store_true", help="a human answers: what waits is discarded")


def _add_page(command: argparse.ArgumentParser) -> None:
    command.add_argument("--limit", type=_natural, default=50, metavar="N", help="rows at most (default: 50)")
    command.add_argument("--offset", type=_natural, default=0, metavar="N", help="rows to leave out (default: 0)")


def _natural(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 100_000:
        raise ValueError
    return number


def _duration_s(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 31_536_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write seconds, at most a year")
    return seconds


def _add_examples(commands: _Commands) -> None:
    agent = _add(commands, "sample-agent", "run a small agent that prints each burst and answers it")
    agent.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    agent.add_argument("--port", type=int, default=9000, help="port to listen on (default: 9000)")
    agent.add_argument("--delay", type=float, default=0.0, metavar="S", help="seconds before each answer")
    _add(commands, "demo", "watch bursts become calls, replies, a takeover and a crash")
