"""A conversation with an agent of another kind keeps its memory, whatever dies around it."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cli.sample.kinds import SAMPLES
from tests.integration.deployment import CRASHES, Deployment, person
from tests.integration.polling import until
from tests.messages import message
from tests.servers import Server

TURNS = 20
POINTS = {
    "dify": ("worker_after_call", "worker_after_answered", "worker_after_claim"),
    "openai": ("worker_after_call", "worker_after_answered", "worker_after_claim"),
    "langgraph": ("worker_after_call", "worker_after_answered", "worker_after_claim"),
    "n8n": ("worker_after_answered",) * 3,
    "flowise": ("worker_after_answered",) * 3,
    "typebot": ("worker_after_answered",) * 3,
}
"""Where a worker dies: those that cannot be asked must not be called again, so only where the answer is stored."""


@pytest.fixture
def sample_agent() -> Iterator[Callable[[str], Any]]:
    """Serve a sample agent in a thread: sample_agent("dify") returns it and its settings."""
    stops: list[Callable[[], None]] = []

    def start(kind: str) -> Any:
        sample, ready, loop = SAMPLES[kind], threading.Event(), asyncio.new_event_loop()
        agent, listener = sample.agent(), socket.create_server(("127.0.0.1", 0))
        stopped = asyncio.Event()

        async def serve() -> None:
            async with agent.serve(listener):
                ready.set()
                await stopped.wait()

        thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
        thread.start()

        def stop_serving() -> None:
            loop.call_soon_threadsafe(stopped.set)
            thread.join()
            loop.close()

        stops.append(stop_serving)
        assert ready.wait(10)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}{sample.path}"
        return agent, {"agent_kind": kind, "agent_url": url, **{k.lower(): v for k, v in sample.settings.items()}}

    yield start
    for stop in stops:
        stop()


@pytest.mark.parametrize("kind", POINTS)
def test_twenty_turns_through_crashes(
    start_deployment: Callable[..., Deployment], sample_agent: Callable[[str], Any], peer: str, kind: str
) -> None:
    """Three workers die among twenty turns. The agent hears one conversation, each turn of it once."""
    agent, settings = sample_agent(kind)
    deployment = start_deployment(message_buffer_timeout=0.2, agent_memory_turns=TURNS, **CRASHES, **settings)
    webhook, worker = deployment.webhook(), deployment.worker()
    points = dict(zip((5, 10, 15), POINTS[kind], strict=True))
    for number in range(1, TURNS + 1):
        if number in points:
            worker.kill()
            worker = deployment.worker(debouncer_kill_at=points[number])
        webhook.say(peer, f"m{number}", message_id=f"id{number}")
        if number in points:
            assert worker.wait() == -signal.SIGKILL
            worker = deployment.worker()
        until("the turn is over", lambda: deployment.counters()["acked"] == number)  # noqa: B023 - called at once
    assert list(agent.turns.values()) == [[f"m{number}" for number in range(1, TURNS + 1)]]
    assert agent.wrong == []


ANSWERED = "worker_after_answered"
OTHER_ID = "900000000000001"


@pytest.mark.parametrize("kind", SAMPLES)
def test_twenty_turns_through_restarts_and_a_second_id(
    start_deployment: Callable[..., Deployment],
    start_server: Callable[..., Server],
    sample_agent: Callable[[str], Any],
    kind: str,
) -> None:
    """A worker dies, Redis restarts, and the person writes from another id: it stays one conversation.

    Dify's conversation is deleted once, and goes on from there.
    """
    agent, settings = sample_agent(kind)
    server = start_server(appendonly="yes", appendfsync="always")
    deployment = start_deployment(server, message_buffer_timeout=0.1, agent_memory_turns=TURNS, **CRASHES, **settings)
    phone, other = person("5511900000001"), person(OTHER_ID)
    worker = deployment.worker()
    for number in range(1, TURNS + 1):
        if number == 5:
            worker.kill()
            worker = deployment.worker(debouncer_kill_at=ANSWERED)
        if number == 9:
            server.kill()
            server.restart()
        if number == 15 and kind == "dify":
            agent.forget_conversations()
        said = message(f"id{number}", other if number > 11 else phone, text=f"m{number}")
        said = said._replace(alias=phone) if number > 11 else said
        deployment.ask(lambda store: store.append([said]))  # noqa: B023 - called at once
        if number == 5:
            assert worker.wait() == -signal.SIGKILL
            worker = deployment.worker()
        until("the turn is over", lambda: deployment.counters()["acked"] == number)  # noqa: B023 - called at once
    turns = [f"m{number}" for number in range(1, TURNS + 1)]
    assert list(agent.turns.values()) == ([turns[:14], turns[14:]] if kind == "dify" else [turns])
    assert [problem for problem in agent.wrong if problem != "Conversation Not Exists."] == []
