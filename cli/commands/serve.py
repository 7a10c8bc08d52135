"""`debouncer serve`: the webhook under uvicorn, in one process or many."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from cli.lifeline import terminate_with_parent
from cli.options import load_settings_with_flags
from cli.preflight import preflight
from cli.shutdown import exit_on_signal
from cli.sockets import BACKLOG, listen
from config.logs import configure_logs
from config.settings import Settings, SettingsError, require
from webhook.fast_path import FastPathProtocol

GRACE_S = 10
"""Longest wait at the end for requests under way; each is answered within 2 s of its last byte."""

HUNG_AFTER_S = 30
"""A webhook process that has not answered uvicorn for so long is replaced; a busy machine can take uvicorn's 5 s."""


class _Config(uvicorn.Config):
    """uvicorn's configuration, pickled into its worker processes: there, they learn to end with this one."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.parent = os.getpid()
        super().__init__(*args, **options)

    def load(self) -> None:
        """Load the application, in the process that serves it."""
        if self.workers > 1:
            terminate_with_parent(self.parent)
        super().load()


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; raises SettingsError, UnsafeServer or PartitionMismatch before that."""
    # uvicorn raises its signal again when it is done: that is success.
    exit_on_signal()
    settings = load_settings_with_flags(args)
    require(settings.redis_url, "REDIS_URL")
    configure_logs(settings)
    listener = _inherited(args.fd) if args.fd is not None else listen(settings.host, settings.port)
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
        # The application has said why it does not start.
        return 2 if end.code == STARTUP_FAILURE else 0
    return 0
