"""`debouncer serve`: runs the webhook under uvicorn, in one process or several."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from cli.options import load_settings_with_flags
from cli.preflight import preflight
from cli.shutdown import exit_on_signal
from cli.sockets import BACKLOG, bind_listener
from cli.supervisor import terminate_with_parent
from config.logs import configure_logs
from config.settings import Settings, SettingsError, require
from config.spelling_log import warn_of_spelling
from webhook.fast_path import FastPathProtocol

GRACE_S = 10
"""Longest wait for requests in progress at shutdown. Each gets its response within 2 s of its last byte."""

HUNG_AFTER_S = 30
"""uvicorn replaces a webhook process that has not replied to its ping for so long.

A process on a busy machine can exceed uvicorn's default of 5 s.
"""


class _Config(uvicorn.Config):
    """uvicorn's configuration. It is pickled into the webhook processes, and makes them end with their parent."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.parent = os.getpid()
        super().__init__(*args, **options)

    def load(self) -> None:
        """Load the application. uvicorn calls this in the process that serves it."""
        if self.workers > 1:
            terminate_with_parent(self.parent)
        super().load()


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT. Raises SettingsError, UnsafeServer or PartitionMismatch at the start."""
    # uvicorn raises the signal again after its shutdown, and that must be exit code 0.
    exit_on_signal()
    settings = load_settings_with_flags(args)
    require(settings.redis_url, "REDIS_URL")
    configure_logs(settings)
    warn_of_spelling()
    listener = _inherited(args.fd) if args.fd is not None else bind_listener(settings.host, settings.port)
    asyncio.run(preflight(settings))
    return _serve(_config(settings), listener)


def _inherited(fd: int) -> socket.socket:
    try:
        return socket.socket(fileno=fd)
    except OSError:
        raise SettingsError(f"--fd {fd}: this process has inherited no such socket") from None


def _config(settings: Settings) -> _Config:
    return _Config(
        "webhook.main:app",
        host=settings.host,
        port=settings.port,
        workers=settings.uvicorn_workers,
        loop="uvloop",
        http=FastPathProtocol,
        backlog=BACKLOG,
        lifespan="on",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE_S,
        timeout_worker_healthcheck=HUNG_AFTER_S,
    )


def _serve(config: _Config, listener: socket.socket) -> int:
    if config.workers > 1:
        supervisor = Multiprocess(config, sockets=[listener])
        supervisor.run()
        codes = {process.exitcode for process in supervisor.processes}
        return 2 if STARTUP_FAILURE in codes else 0
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except SystemExit as end:
        # The application has logged why it does not start.
        return 2 if end.code == STARTUP_FAILURE else 0
    return 0
