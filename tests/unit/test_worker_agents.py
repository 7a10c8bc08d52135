"""The agents of the routes: which routes share one, and what becomes of an agent that no route uses any more."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agents.results import AgentFailure
from buffer.models import Batch, Conversation, Reason
from config.routes import Routes, load_routes
from worker import agents as module
from worker.agents import Agents

TABLES = """
[generic.a]
agent_url = "http://127.0.0.1:1/a"
[generic.b]
agent_url = "http://127.0.0.1:1/a"
window = 2
[generic.c]
agent_url = "http://127.0.0.1:1/a"
agent_secret = "env:AGENT_C"
[generic.d]
agent_url = "http://127.0.0.1:1/d"
agent_timeout = 5
"""


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("AGENT_C", "secret")
    path: Path = tmp_path / "routes.toml"
    path.write_text(TABLES, encoding="utf-8")
    return path


@pytest.fixture
def routes(file, make_settings) -> Routes:
    return load_routes(make_settings(routes_file=str(file), agent_timeout=0.01), None)


def batch(channel: str) -> Batch:
    conversation = Conversation("generic", channel, "5511900000001")
    return Batch("t", "f-1", 1, 0, Reason.QUIET, conversation, None, 1, 1, 1, "\n", None, ())


async def test_routes_with_the_same_agent_share_it(routes):
    """Address, secret and time limit make an agent; another window does not."""
    agents = Agents(routes)
    a, b, c, d = (agents.agent_for(routes.of("generic", channel)) for channel in "abcd")
    assert a is b
    assert len({id(one) for one in (a, c, d)}) == 3
    assert agents.agent_for(routes.of("generic", "a")) is a
    await agents.close()


async def test_a_batch_without_an_agent_waits(routes, make_settings):
    """A batch whose route names no agent ends as one that surely was not sent, with what to set."""
    failure = await Agents(routes).call(batch("other"))
    sentence = "there is no agent: agent_url of default in ROUTES_FILE is not set"
    assert failure == AgentFailure(sentence, sent=False)
    alone = await Agents(load_routes(make_settings())).call(batch("other"))
    assert alone == AgentFailure("there is no agent: AGENT_URL is not set", sent=False)


async def test_unused_agent_is_closed_after_its_last_calls(routes, file, monkeypatch):
    """After a reload an agent that is in use stays the same, and another one is closed when its time limit is over."""
    closed: list[object] = []

    async def close(agent: object) -> None:
        closed.append(agent)

    monkeypatch.setattr(module.Agent, "close", close)
    agents = Agents(routes)
    a, c = (agents.agent_for(routes.of("generic", channel)) for channel in "ac")
    file.write_text('[generic.a]\nagent_url = "http://127.0.0.1:1/a"\n', encoding="utf-8")
    routes.reload()
    agents.retire_unused()
    assert closed == []
    assert agents.agent_for(routes.of("generic", "a")) is a
    await asyncio.wait(agents._closing)
    assert closed == [c]
    await agents.close()
    assert closed == [c, a]


async def test_everything_is_closed_at_the_end(routes, file, monkeypatch):
    """The end of the worker closes also what still waits to be closed."""
    closed: list[object] = []

    async def close(agent: object) -> None:
        closed.append(agent)

    monkeypatch.setattr(module.Agent, "close", close)
    agents = Agents(routes)
    d = agents.agent_for(routes.of("generic", "d"))
    file.write_text("", encoding="utf-8")
    routes.reload()
    agents.retire_unused()
    await agents.close()
    assert closed == [d]
