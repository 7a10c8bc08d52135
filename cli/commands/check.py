"""`debouncer check`: prints the settings and tries every connection, without writing anything."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Any

from pydantic import SecretStr

from buffer.transport.server_checks import CheckResult
from cli.checks import run_checks
from cli.options import load_settings_with_flags
from cli.terminal import Colours, columns, redact_url
from config.settings import Settings

COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


def run(args: argparse.Namespace) -> int:
    """Return 0, or 1 if there is a problem. Raises SettingsError for impossible settings."""
    settings = load_settings_with_flags(args)
    colours = Colours(sys.stdout)
    results = asyncio.run(run_checks(settings))
    print(colours("Settings", "bold"), *columns(settings_rows(settings)), sep="\n")
    print("", colours("Checks", "bold"), *_lines(results, colours), sep="\n")
    problems = sum(result.level == "problem" for result in results)
    print("", _verdict(problems, sum(result.level == "warning" for result in results)), sep="\n")
    return 1 if problems else 0


def settings_rows(settings: Settings) -> list[tuple[str, str, str]]:
    """Return the name and value of each setting, and its default if the value differs from it."""
    rows = []
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        note = "" if value == field.default else f"default: {_value_text(name, field.default)}"
        rows.append((name.upper(), _value_text(name, value), note))
    return rows


def _value_text(name: str, value: Any) -> str:
    """Return the value as it is written in .env, without secrets."""
    if value is None:
        return "(not set)"
    if isinstance(value, SecretStr):
        return "(set, hidden)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return ",".join(value) or "(none)"
    return redact_url(value) if name.endswith("_url") else str(value).replace("\n", r"\n").replace("\t", r"\t")


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
