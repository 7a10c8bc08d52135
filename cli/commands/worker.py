"""`debouncer worker`: a flush worker."""

from __future__ import annotations

import argparse
import asyncio
import sys

from cli.options import require_agent, settings_of
from cli.preflight import refuse_unfit
from cli.shutdown import leave_when_asked
from config.logs import configure_logs
from worker.process import WorkerBroken, run_worker


def run(args: argparse.Namespace) -> int:
    """Work until SIGTERM or SIGINT; raises SettingsError, UnsafeServer or PartitionMismatch before that."""
    leave_when_asked()
    settings = settings_of(args)
    require_agent(settings, "worker")
    configure_logs(settings)
    asyncio.run(refuse_unfit(settings, accepting=False))
    try:
        run_worker(settings)
    except WorkerBroken as error:
        print(f"debouncer worker: a part of it broke ({error}); start it again", file=sys.stderr)
        return 1
    return 0
