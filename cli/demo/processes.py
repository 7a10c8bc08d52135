"""Starts the processes of the demo: a server in a temporary folder, the webhook, a flush worker and an agent."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from cli.demo.log_reader import Event, LogReader
from cli.demo.script import WINDOW_S
from cli.echo import EchoAgent
from cli.embedded import EmbeddedServer
from cli.sockets import bind_listener, url_of
from cli.supervisor import DEBOUNCER_COMMAND, ProcessSpec, SupervisedProcess
from config.settings import Settings
from config.spelling import OWN_PREFIXES

LOOPBACK = "127.0.0.1"
WEBHOOK_PROCESSES = 2
READY_WITHIN_S = 20.0
GRACE_S = 5.0


class NotReady(Exception):
    """A process did not start in time. The message holds the end of the log."""


@dataclass(frozen=True)
class DemoProcesses:
    """The running processes: the webhook's port and token, the process ids, and their log."""

    port: int
    token: str
    webhooks: list[int]
    worker: int
    logs: LogReader


async def start_processes(stack: AsyncExitStack, agent: EchoAgent, forced: asyncio.Event) -> DemoProcesses:
    """Start everything and wait until it is ready. `stack` stops it again. Raises NotReady or ServerFailed."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="debouncer-demo-")))
    logs = _read_logs(stack)
    agent_socket, listener = (stack.enter_context(bind_listener(LOOPBACK, 0)) for _ in range(2))
    await stack.enter_async_context(agent.serve(agent_socket))
    server = EmbeddedServer(folder)
    stack.callback(server.close)
    stack.push_async_callback(server.stop, forced)
    await server.start()
    token = secrets.token_hex(8)
    env = _environment(server.url, _port(agent_socket), token)
    for spec in _specs(folder, env, listener, logs):
        child = SupervisedProcess(spec)
        stack.push_async_callback(child.stop, forced)
        await child.start()
    webhooks, worker = await _wait_until_ready(logs)
    return DemoProcesses(_port(listener), token, webhooks, worker, logs)


def _read_logs(stack: AsyncExitStack) -> LogReader:
    logs = LogReader()
    stack.callback(logs.close)
    stack.callback(asyncio.create_task(logs.read()).cancel)
    return logs


def _port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def _environment(redis_url: str, agent_port: int, token: str) -> dict[str, str]:
    """Return the user's environment with the demo's settings instead of the user's."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name.lower() not in Settings.model_fields and not name.startswith(OWN_PREFIXES)
    }
    return inherited | {
        "REDIS_URL": redis_url,
        "AGENT_URL": url_of(LOOPBACK, agent_port) + "/",
        "EVOLUTION_TOKEN": token,
        "MESSAGE_BUFFER_TIMEOUT": str(WINDOW_S),
        "UVICORN_WORKERS": str(WEBHOOK_PROCESSES),
        "LOG_FORMAT": "json",
    }


def _specs(folder: Path, env: dict[str, str], listener: socket.socket, logs: LogReader) -> list[ProcessSpec]:
    """Return the worker and the webhook. They run in an empty folder, so that they do not read the user's .env."""
    empty = folder / "empty"
    empty.mkdir()
    serve = [*DEBOUNCER_COMMAND, "serve", "--fd", str(listener.fileno())]
    return [
        ProcessSpec("worker", [*DEBOUNCER_COMMAND, "worker"], GRACE_S, env, output=logs.fd, folder=str(empty)),
        ProcessSpec("webhook", serve, GRACE_S, env, (listener.fileno(),), logs.fd, str(empty)),
    ]


async def _wait_until_ready(logs: LogReader) -> tuple[list[int], int]:
    """Wait until all processes have started and return the pids of the webhook processes and of the worker."""
    webhooks: list[int] = []

    def is_new_webhook(event: Event) -> bool:
        return event.get("event") == "Application startup complete." and event.get("pid") not in webhooks

    try:
        worker = await logs.find(lambda event: event.get("event") == "worker started", 0, READY_WITHIN_S)
        while len(webhooks) < WEBHOOK_PROCESSES:
            webhooks.append((await logs.find(is_new_webhook, 0, READY_WITHIN_S))["pid"])
    except TimeoutError:
        lines = ["the processes did not start in time. The end of their log:", *logs.tail()]
        raise NotReady("\n".join(lines)) from None
    return sorted(webhooks), int(worker["pid"])
