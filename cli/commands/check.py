"""`debouncer check`: prints the settings and the routes and tries every connection, without writing anything.

With `--send` it does nothing but send one test message, with `--agent` nothing but call the agent with a test burst.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from buffer.transport.server_checks import CheckResult
from cli import trial_call, trial_message
from cli.checks import run_checks
from cli.options import load_settings_with_flags
from cli.route_report import reply_results, route_lines, routes_lines
from cli.terminal import Colours, columns
from cli.values import value_text
from config.routes import load_routes
from config.settings import Settings

COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


def run(args: argparse.Namespace) -> int:
    """Return 0, or 1 if there is a problem. Raises SettingsError for impossible settings and routes."""
    settings = load_settings_with_flags(args)
    routes = load_routes(settings)
    if args.send is not None:
        return trial_message.run(routes, *args.send, is_confirmed=args.yes)
    if args.agent is not None:
        return trial_call.run(routes, args.agent)
    colours = Colours(sys.stdout)
    if args.route is not None:
        print(*route_lines(routes, args.route, colours), sep="\n")
        return 0
    results = [*asyncio.run(run_checks(settings, routes)), *reply_results(routes)]
    print(colours("Settings", "bold"), *columns(settings_rows(settings)), *routes_lines(routes, colours), sep="\n")
    print("", colours("Checks", "bold"), *_lines(results, colours), sep="\n")
    problems = sum(result.level == "problem" for result in results)
    print("", _verdict(problems, sum(result.level == "warning" for result in results)), sep="\n")
    return 1 if problems else 0


def settings_rows(settings: Settings) -> list[tuple[str, str, str]]:
    """Return the name and value of each setting, and its default if the value differs from it."""
    rows = []
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        note = "" if value == field.default else f"default: {value_text(name, field.default)}"
        rows.append((name.upper(), value_text(name, value), note))
    return rows


def _lines(results: list[CheckResult], colours: Colours) -> list[str]:
    lines = columns([(result.level, result.subject, result.message) for result in results])
    return [
        line.replace(result.level, colours(result.level, COLOURS[result.level]), 1)
        for result, line in zip(results, lines, strict=True)
    ]


def _verdict(problems: int, warnings: int) -> str:
    if problems:
        return f"{problems} of these must be put right before it works."
    return f"It works. Warnings: {warnings}." if warnings else "All is well."
