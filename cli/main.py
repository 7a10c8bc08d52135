"""The `debouncer` command: parses the arguments, runs one command and prints its errors."""

from __future__ import annotations

import argparse
import difflib
import importlib
import io
import os
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import NoReturn

from buffer.errors import PartitionMismatch, UnsafeServer
from cli.arguments import Commands, add_command, add_data_dir
from cli.operations import add_operations
from config.agent_settings import AGENT_KINDS
from config.settings import SettingsError

INTERRUPTED = 130
READER_GONE = 141
"""Exit code when nobody reads the output any more, as in `debouncer pending | head`: that of a death by SIGPIPE."""

INVALID_CHOICE = re.compile(r"argument (?P<kind>\w+): invalid choice: '(?P<word>.*)' \(choose from (?P<choices>.*)\)")
"""The error of argparse for a command that does not exist. Python 3.12 writes the choices without quotes."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. 2 means that it may not start, and stderr has the reason."""
    args = build_parser().parse_args(argv)
    _replace_unprintable()
    # Only the module of this command is imported: a health check must not wait for the other imports.
    command = importlib.import_module(args.module)
    try:
        code = int(command.run(args))
        sys.stdout.flush()
        return code
    except (SettingsError, UnsafeServer, PartitionMismatch) as error:
        print(f"debouncer {args.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _forget_output()
        return READER_GONE


def _forget_output() -> None:
    """Send what is still to be written to stdout nowhere, or the interpreter would fail at it once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
    add_operations(commands)
    _add_examples(commands)
    return parser


def _add_services(commands: Commands) -> None:
    up = add_command(
        commands, "up", "run everything on this machine, with a server of its own when REDIS_URL is not set"
    )
    _add_address(up)
    up.add_argument("--data-dir", metavar="DIR", help="where its own server keeps the messages (DATA_DIR)")
    serve = add_command(commands, "serve", "run the webhook")
    _add_address(serve)
    serve.add_argument("--fd", type=int, metavar="FD", help="listen on this inherited socket, as systemd passes one")
    add_command(commands, "worker", "run a flush worker")


def _add_address(command: argparse.ArgumentParser) -> None:
    command.add_argument("--host", help="address to listen on (HOST)")
    command.add_argument("--port", type=int, help="port to listen on (PORT)")
    command.add_argument("--workers", type=int, metavar="N", help="webhook processes (UVICORN_WORKERS)")


def _add_checks(commands: Commands) -> None:
    check = add_command(commands, "check", "show the settings and the routes, try every connection")
    check.add_argument("route", nargs="?", metavar="GATEWAY/CHANNEL", help="show the rules of one channel alone")
    check.add_argument(
        "--send", nargs=2, metavar=("GATEWAY/CHANNEL", "NUMBER"), help="send one test message, after asking"
    )
    check.add_argument("--yes", action="store_true", help="do not ask before --send")
    check.add_argument(
        "--agent",
        nargs="?",
        const="",
        metavar="GATEWAY/CHANNEL",
        help="call the agent (of one channel) with a test burst, and show what was understood of the answer",
    )
    add_data_dir(check)
    health = add_command(commands, "health", "exit 0 when a process of this container is healthy, else 1")
    parts = health.add_subparsers(dest="part", required=True, metavar="PART")
    webhook = parts.add_parser("webhook", help="the webhook on this machine can store messages")
    webhook.add_argument("--port", type=int, help="port of the webhook (PORT)")
    worker = parts.add_parser("worker", help="a worker of this host reported within the last minute")
    add_data_dir(worker)


def _add_examples(commands: Commands) -> None:
    agent = add_command(commands, "sample-agent", "run a small agent that prints each burst and answers it")
    agent.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    agent.add_argument("--port", type=int, default=9000, help="port to listen on (default: 9000)")
    agent.add_argument("--kind", default="generic", choices=AGENT_KINDS, help="kind to stand in for (AGENT_KIND)")
    agent.add_argument("--mode", default="", help="a way to fail, see docs/agents.md (kinds but generic)")
    agent.add_argument("--delay", type=float, default=0.0, metavar="S", help="seconds before each answer")
    demo = add_command(commands, "demo", "watch bursts become calls, replies, a takeover and a crash")
    demo.add_argument("--page", action="store_true", help="open the operator's page, and keep everything running")
