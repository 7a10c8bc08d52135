"""Starts the processes of the demo: a server in a temporary folder, the webhook, a worker, an agent and a gateway."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from cli.demo.log_reader import Event, LogReader
from cli.demo.script import LEASE_S, WINDOW_S
from cli.demo.stub_gateway import StubGateway
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
IDLE_S = 120
"""Seconds. The demo opens connections in advance (`ProcessConnections`), and uses some of them late."""


class NotReady(Exception):
    """A process did not start in time. The message holds the end of the log."""


@dataclass(frozen=True)
class DemoProcesses:
    """The running processes: the webhook's port and token, the process ids, their log, and their environment.

    `started_at` is the number of the log's events when all had started.
    """

    port: int
    token: str
    webhooks: list[int]
    worker: int
    logs: LogReader
    started_at: int
    env: dict[str, str]
    folder: Path

    @property
    def page(self) -> str:
        """Return the address of the operator's page."""
        return f"{url_of(LOOPBACK, self.port)}/dashboard"

    async def run_command(self, *arguments: str) -> list[str]:
        """Run a `debouncer` command beside the processes and return the lines that it prints."""
        pipe = asyncio.subprocess.PIPE
        command = await asyncio.create_subprocess_exec(
            *DEBOUNCER_COMMAND, *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, env=self.env, cwd=self.folder
        )
        output, _ = await command.communicate()
        return output.decode("utf-8", "replace").splitlines()


async def start_processes(  # noqa: PLR0913, PLR0917 - the parts of the demo
    stack: AsyncExitStack,
    agent: EchoAgent,
    gateway: StubGateway,
    token: str,
    forced: asyncio.Event,
    settings: Mapping[str, str],
) -> DemoProcesses:
    """Start everything and wait until it is ready. `stack` stops it again. Raises NotReady or ServerFailed.

    `settings` are added to those of the demo.
    """
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="debouncer-demo-")))
    logs = _read_logs(stack)
    agent_socket, gateway_socket, listener = (stack.enter_context(bind_listener(LOOPBACK, 0)) for _ in range(3))
    await stack.enter_async_context(agent.serve(agent_socket))
    await stack.enter_async_context(gateway.serve(gateway_socket))
    server = EmbeddedServer(folder)
    stack.callback(server.close)
    stack.push_async_callback(server.stop, forced)
    await server.start()
    env = _environment(server.url, _port(agent_socket), _port(gateway_socket), token) | dict(settings)
    empty = folder / "empty"
    empty.mkdir()
    for spec in _specs(empty, env, listener, logs):
        child = SupervisedProcess(spec)
        stack.push_async_callback(child.stop, forced)
        await child.start()
    webhooks, worker = await _wait_until_ready(logs)
    return DemoProcesses(_port(listener), token, webhooks, worker, logs, logs.count(), env, empty)


def _read_logs(stack: AsyncExitStack) -> LogReader:
    logs = LogReader()
    stack.callback(logs.close)
    stack.callback(asyncio.create_task(logs.read()).cancel)
    return logs


def _port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def _environment(redis_url: str, agent_port: int, gateway_port: int, token: str) -> dict[str, str]:
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
        "EVOLUTION_URL": url_of(LOOPBACK, gateway_port),
        "EVOLUTION_API_KEY": token,
        "FLUSH_LEASE": str(LEASE_S),
        "FLUSH_RENEW_INTERVAL": "1",
        "WEBHOOK_HEAD_TIMEOUT": str(IDLE_S),
        "MESSAGE_BUFFER_TIMEOUT": str(WINDOW_S),
        "UVICORN_WORKERS": str(WEBHOOK_PROCESSES),
        "LOG_FORMAT": "json",
    }


def _specs(empty: Path, env: dict[str, str], listener: socket.socket, logs: LogReader) -> list[ProcessSpec]:
    """Return the worker and the webhook. They run in an empty folder, so that they do not read the user's .env."""
    serve = [*DEBOUNCER_COMMAND, "serve", "--fd", str(listener.fileno())]
    return [
        ProcessSpec("worker", [*DEBOUNCER_COMMAND, "worker"], GRACE_S, env, output=logs.fd, folder=str(empty)),
        ProcessSpec("webhook", serve, GRACE_S, env, (listener.fileno(),), logs.fd, str(empty)),
    ]


def is_worker_start(event: Event) -> bool:
    """Return True for the log line of a worker that has started."""
    return event.get("event") == "worker started"


async def _wait_until_ready(logs: LogReader) -> tuple[list[int], int]:
    """Wait until all processes have started and return the pids of the webhook processes and of the worker."""
    webhooks: list[int] = []

    def is_new_webhook(event: Event) -> bool:
        return event.get("event") == "Application startup complete." and event.get("pid") not in webhooks

    try:
        worker = await logs.find(is_worker_start, 0, READY_WITHIN_S)
        while len(webhooks) < WEBHOOK_PROCESSES:
            webhooks.append((await logs.find(is_new_webhook, 0, READY_WITHIN_S))["pid"])
    except TimeoutError:
        lines = ["the processes did not start in time. The end of their log:", *logs.tail()]
        raise NotReady("\n".join(lines)) from None
    return sorted(webhooks), int(worker["pid"])
