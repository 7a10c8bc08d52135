"""The `debouncer` command: parses the arguments, runs one command and prints its errors."""

from __future__ import annotations

import argparse
import importlib
import io
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Protocol

from buffer.errors import PartitionMismatch, UnsafeServer
from config.settings import SettingsError

INTERRUPTED = 130


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


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="debouncer", description="Holds a burst of messages until the person pauses, then calls the agent once."
    )
    parser.add_argument("--version", action="version", version=version("debouncer"))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_services(commands)
    _add_checks(commands)
    _add_examples(commands)
    return parser


class _Commands(Protocol):
    """The object that `add_subparsers` returns; argparse has no public name for it."""

    def add_parser(self, name: str, *, help: str, description: str) -> argparse.ArgumentParser: ...


def _add(commands: _Commands, name: str, summary: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=summary, description=summary)
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
    _add(commands, "check", "show the settings, try every connection")
    health = _add(commands, "health", "exit 0 when a process of this container is healthy, else 1")
    parts = health.add_subparsers(dest="part", required=True, metavar="PART")
    webhook = parts.add_parser("webhook", help="the webhook on this machine can store messages")
    webhook.add_argument("--port", type=int, help="port of the webhook (PORT)")
    parts.add_parser("worker", help="a worker of this host reported within the last minute")


def _add_examples(commands: _Commands) -> None:
    agent = _add(commands, "sample-agent", "run a small agent that prints each burst and answers it")
    agent.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    agent.add_argument("--port", type=int, default=9000, help="port to listen on (default: 9000)")
    agent.add_argument("--delay", type=float, default=0.0, metavar="S", help="seconds before each answer")
    _add(commands, "demo", "watch four messages of one person become one call to the agent")
