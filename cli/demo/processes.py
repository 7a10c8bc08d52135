"""Sets the stage: a server in a temporary folder, the webhook, a flush worker and an agent, all real processes."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from cli.addresses import url_of
from cli.demo.log_reader import Event, Journal
from cli.demo.script import WINDOW_S
from cli.echo import EchoAgent
from cli.embedded import EmbeddedServer
from cli.sockets import listen
from cli.supervisor import DEBOUNCER_COMMAND, ProcessSpec, SupervisedProcess
from config.settings import OWN_PREFIXES, Settings

LOOPBACK = "127.0.0.1"
WEBHOOKS = 2
READY_WITHIN_S = 20.0
GRACE_S = 5.0


class NotReady(Exception):
    """A process did not start in time; the message holds the end of the log."""


@dataclass(frozen=True)
class Stage:
    """What the show needs to know of the running processes."""

    port: int
    token: str
    webhooks: list[int]
    worker: int
    journal: Journal


async def set_stage(house: AsyncExitStack, agent: EchoAgent, hurry: asyncio.Event) -> Stage:
    """Start everything and wait until it is ready; `house` takes it down again. Raises NotReady or ServerFailed."""
    folder = Path(house.enter_context(tempfile.TemporaryDirectory(prefix="debouncer-demo-")))
    journal = _journal(house)
    agent_socket, listener = (house.enter_context(listen(LOOPBACK, 0)) for _ in range(2))
    await house.enter_async_context(agent.on(agent_socket))
    server = EmbeddedServer(folder)
    house.callback(server.close)
    house.push_async_callback(server.stop, hurry)
    await server.start()
    token = secrets.token_hex(8)
    env = _environment(server.url, _port(agent_socket), token)
    for plan in _plans(folder, env, listener, journal):
        child = SupervisedProcess(plan)
        house.push_async_callback(child.stop, hurry)
        await child.start()
    webhooks, worker = await _ready(journal)
    return Stage(_port(listener), token, webhooks, worker, journal)


def _journal(house: AsyncExitStack) -> Journal:
    journal = Journal()
    house.callback(journal.close)
    house.callback(asyncio.create_task(journal.read()).cancel)
    return journal


def _port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def _environment(redis_url: str, agent_port: int, token: str) -> dict[str, str]:
    """The caller's environment with our settings instead of any of theirs."""
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
        "UVICORN_WORKERS": str(WEBHOOKS),
        "LOG_FORMAT": "json",
    }


def _plans(folder: Path, env: dict[str, str], listener: socket.socket, journal: Journal) -> list[ProcessSpec]:
    """In an empty folder: a .env of the caller's must not change the demo."""
    empty = folder / "empty"
    empty.mkdir()
    serve = [*DEBOUNCER_COMMAND, "serve", "--fd", str(listener.fileno())]
    return [
        ProcessSpec("worker", [*DEBOUNCER_COMMAND, "worker"], GRACE_S, env, output=journal.fd, folder=str(empty)),
        ProcessSpec("webhook", serve, GRACE_S, env, (listener.fileno(),), journal.fd, str(empty)),
    ]


async def _ready(journal: Journal) -> tuple[list[int], int]:
    """The process ids of the webhook processes and of the worker, once all of them are at work."""
    webhooks: list[int] = []

    def is_new_webhook(event: Event) -> bool:
        return event.get("event") == "Application startup complete." and event.get("pid") not in webhooks

    try:
        worker = await journal.find(lambda event: event.get("event") == "worker started", 0, READY_WITHIN_S)
        while len(webhooks) < WEBHOOKS:
            webhooks.append((await journal.find(is_new_webhook, 0, READY_WITHIN_S))["pid"])
    except TimeoutError:
        raise NotReady("\n".join(["the processes did not start in time; their last words:", *journal.tail()])) from None
    return sorted(webhooks), int(worker["pid"])
