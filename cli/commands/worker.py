"""`debouncer worker`: runs a flush worker."""

from __future__ import annotations

import argparse
import asyncio
import sys

from cli.options import load_settings_with_flags, require_agent
from cli.preflight import preflight
from cli.shutdown import exit_on_signal
from config.logs import configure_logs
from config.spelling_log import warn_of_spelling
from worker.process import TaskCrashed, run_worker


def run(args: argparse.Namespace) -> int:
    """Work until SIGTERM or SIGINT. Raises SettingsError, UnsafeServer or PartitionMismatch at the start."""
    exit_on_signal()
    settings = load_settings_with_flags(args)
    require_agent(settings, "worker")
    configure_logs(settings)
    warn_of_spelling()
    asyncio.run(preflight(settings, accepting=False))
    try:
        run_worker(settings)
    except TaskCrashed as error:
        print(f"debouncer worker: a task of it crashed ({error}); start it again", file=sys.stderr)
        return 1
    return 0
