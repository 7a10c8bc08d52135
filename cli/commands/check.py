"""`debouncer check`: the settings as they are, and every connection tried, without changing anything."""

from __future__ import annotations

import argparse
import asyncio
import sys

from cli.checks import CheckResult, run_checks
from cli.options import load_settings_with_flags
from cli.settings_table import settings_rows
from cli.terminal import Colours, columns

COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


def run(args: argparse.Namespace) -> int:
    """0, or 1 when something would not work; raises SettingsError for impossible settings."""
    settings = load_settings_with_flags(args)
    paint = Colours(sys.stdout)
    found = asyncio.run(run_checks(settings))
    print(paint("Settings", "bold"), *columns(settings_rows(settings)), sep="\n")
    print("", paint("Checks", "bold"), *_painted(found, paint), sep="\n")
    problems = sum(finding.level == "problem" for finding in found)
    print("", _verdict(problems, sum(finding.level == "warning" for finding in found)), sep="\n")
    return 1 if problems else 0


def _painted(found: list[CheckResult], paint: Colours) -> list[str]:
    lines = columns(found)
    return [
        line.replace(finding.level, paint(finding.level, COLOURS[finding.level]), 1)
        for finding, line in zip(found, lines, strict=True)
    ]


def _verdict(problems: int, warnings: int) -> str:
    if problems:
        return f"{problems} of these must be put right before it works."
    return f"It works; {warnings} of these may surprise you." if warnings else "All is well."
