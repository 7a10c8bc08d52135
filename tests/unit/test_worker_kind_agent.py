"""Calls to agents of each kind, against the sample agents: conversations, failures, and repeats."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agents.results import AgentFailure, AgentReply
from buffer.models import Batch, Conversation, Reason, StoredMessage
from cli.sample.base import SampleAgent
from cli.sample.dify import SampleDify
from cli.sample.kinds import SAMPLES
from worker import kind_agent
from worker.kind_agent import KindAgent

TURNS = 20
FIRST = Conversation("evolution", "loja", "5511900000001")
ALIAS = Conversation("evolution", "loja", "900000000000001@lid")


def batch(text: str, memory: bytes = b"", to: Conversation = FIRST, *, attempt: int = 1, crashes: int = 0) -> Batch:
    return Batch(
        token="1:t",
        flush_id=f"flush-{text}",
        attempt=attempt,
        failures=0,
        reason=Reason.QUIET,
        conversation=to,
        name="Ana",
        opened_ms=1_000,
        last_ms=1_000,
        closed_ms=1_000,
        separator="\n",
        answer=None,
        messages=(StoredMessage(1_000, {"message_id": text, "text": text}, None, None, 1_000),),
        crashes=crashes,
        memory=memory,
    )


class Talk:
    """An agent of one kind, the sample that it reaches, and the memory that the buffer would keep."""

    def __init__(self, agent: KindAgent, sample: Any) -> None:
        self.agent, self.sample, self.memory = agent, sample, b""

    async def ask(self, text: str, to: Conversation = FIRST, **more: Any) -> AgentReply | AgentFailure:
        """Have one burst answered, and keep the memory of the answer."""
        result = await self.agent.ask(batch(text, self.memory, to, **more))
        if isinstance(result, AgentReply) and result.memory is not None:
            self.memory = result.memory
        return result

    async def says(self, text: str, to: Conversation = FIRST, **more: Any) -> str:
        """Return the one text of an answer."""
        result = await self.ask(text, to, **more)
        assert isinstance(result, AgentReply), (result, self.sample.wrong)
        return "".join(part.text or "" for part in result.parts)


@pytest.fixture
def talk_to(make_settings: Callable[..., Any]) -> Callable[..., Any]:
    """Return a context with a conversation: talk_to("dify", mode="cut", agent_repeat="always")."""

    @asynccontextmanager
    async def talk(kind: str, mode: str = "", **settings: Any) -> AsyncIterator[Talk]:
        sample = SAMPLES[kind]
        stub: SampleAgent = sample.agent(mode)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}{sample.path}"
            named = {name.lower(): value for name, value in sample.settings.items() if name != "AGENT_URL"}
            agent = KindAgent(make_settings(agent_url=url, agent_kind=kind, **{**named, **settings}))
            async with stub.serve(listener):
                yield Talk(agent, stub)
                await agent.close()

    return talk


@pytest.mark.parametrize("kind", SAMPLES)
async def test_twenty_turns(talk_to, kind: str):
    """Twenty turns are one conversation, though the person writes from another id, and the agent accepts each one."""
    async with talk_to(kind, agent_memory_turns=TURNS) as talk:
        assert await talk.says("m1") == "Turn 1. We have just met."
        for number in range(2, TURNS + 1):
            to = ALIAS if number > 10 else FIRST
            assert await talk.says(f"m{number}", to) == f"Turn {number}. Before that you said: m{number - 1}"
        assert talk.sample.wrong == []
        assert set(talk.sample.calls.values()) <= {1}


async def test_a_dify_conversation_that_vanished(talk_to):
    """It begins anew in the same attempt, and goes on from there."""
    async with talk_to("dify") as talk:
        await talk.says("m1")
        talk.sample.forget_conversations()
        assert await talk.says("m2") == "Turn 1. We have just met."
        assert await talk.says("m3") == "Turn 2. Before that you said: m2"
        assert talk.sample.calls["flush-m2"] == 2


async def test_a_typebot_session_that_expired(talk_to):
    """It begins anew in the same attempt; a flow that ended begins anew with the next burst."""
    async with talk_to("typebot") as talk:
        await talk.says("m1")
        talk.sample.forget_sessions()
        assert await talk.says("m2") == "Turn 1. We have just met."
        assert await talk.says("fim") == "Turn 2. Before that you said: m2"
        assert await talk.says("m4") == "Turn 1. We have just met."


SILENT = [
    *(("n8n", mode) for mode in ("immediately", "no-data", "not-reached", "html")),
    *(("dify", mode) for mode in ("html", "error", "cut")),
    *(("openai", mode) for mode in ("html", "error-200", "quota", "throttled", "overloaded", "tools")),
    *(("flowise", mode) for mode in ("html", "throttled", "error")),
    *(("typebot", mode) for mode in ("html", "error")),
    *(("langgraph", mode) for mode in ("html", "error-200", "interrupt", "busy")),
    *(("n8n", mode) for mode in ("error", "inactive")),
]


@pytest.mark.parametrize(("kind", "mode"), SILENT)
async def test_what_is_no_answer_reaches_nobody(talk_to, kind: str, mode: str):
    """Whatever the status says: errors, pages and sentences of the agent's software make no part."""
    async with talk_to(kind, mode) as talk:
        result = await talk.ask("m1")
        assert isinstance(result, AgentFailure) or result.parts == ()


@pytest.mark.parametrize(("kind", "mode"), [("n8n", "streaming"), ("n8n", "all-items"), ("openai", "think")])
async def test_other_forms_of_an_answer(talk_to, kind: str, mode: str):
    """They say the same."""
    async with talk_to(kind, mode) as talk:
        assert await talk.says("m1") == "Turn 1. We have just met."


async def test_an_answer_that_was_lost_is_found(talk_to):
    """Dify has answered and the connection broke: the next attempt finds the answer, and the turn is not doubled."""
    async with talk_to("dify") as talk:
        await talk.says("m1")
        talk.sample.mode = "lost"
        failure = await talk.ask("m2")
        assert isinstance(failure, AgentFailure)
        assert failure.doubt
        talk.sample.mode = ""
        assert await talk.says("m2", attempt=2) == "Turn 2. Before that you said: m1"
        assert await talk.says("m3") == "Turn 3. Before that you said: m2"
        assert talk.sample.calls["flush-m2"] == 1


async def test_a_first_answer_that_was_lost_is_found(talk_to):
    """Before the first answer the conversation is unknown here, and found under the person's name."""
    async with talk_to("dify", "lost") as talk:
        assert isinstance(await talk.ask("m1"), AgentFailure)
        talk.sample.mode = ""
        assert await talk.says("m1", attempt=2) == "Turn 1. We have just met."
        assert await talk.says("m2") == "Turn 2. Before that you said: m1"
        assert len(talk.sample.users) == 1


async def test_an_answer_under_way_is_waited_for(talk_to, monkeypatch):
    """Dify is still at work on the batch: it gets half of AGENT_TIMEOUT, and then the batch is sent again."""
    monkeypatch.setattr(kind_agent, "LOOK_EVERY_S", 0.01)
    async with talk_to("dify", agent_timeout=2.0) as talk:
        assert isinstance(talk.sample, SampleDify)
        await talk.says("m1")
        [entries] = talk.sample.messages.values()
        entries.append({**entries[-1], "query": "m2", "answer": ""})
        assert await talk.says("m2", attempt=2) == "Turn 2. Before that you said: m1"


async def test_langgraph_is_looked_at_before_a_repeat(talk_to):
    """A repeat finds the answer of the first call, and no second turn."""
    async with talk_to("langgraph") as talk:
        await talk.says("m1")
        assert await talk.says("m1", attempt=2) == "Turn 1. We have just met."
        assert talk.sample.calls["flush-m1"] == 1


async def test_a_step_of_typebot_that_may_have_run(talk_to):
    """It is in doubt, so that AGENT_REPEAT decides (tests/unit/test_worker_repeat.py)."""
    async with talk_to("typebot", "error") as talk:
        failure = await talk.ask("m1")
        assert isinstance(failure, AgentFailure)
        assert (failure.doubt, failure.dead) == (True, False)


@pytest.mark.parametrize("kind", ["openai", "dify", "langgraph"])
async def test_a_wrong_key(talk_to, kind: str):
    """It fails for everyone, so no attempt is counted."""
    async with talk_to(kind, agent_key="wrong") as talk:
        failure = await talk.ask("m1")
        assert isinstance(failure, AgentFailure)
        assert (failure.misconfigured, failure.is_counted) == (True, False)


async def test_an_agent_that_is_away(make_settings):
    """A refused connection is no doubt: nothing has left."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    agent = KindAgent(make_settings(agent_url=f"http://127.0.0.1:{port}/", agent_kind="typebot"))
    failure = await agent.ask(batch("m1"))
    await agent.close()
    assert isinstance(failure, AgentFailure)
    assert (failure.sent, failure.doubt, failure.dead) == (False, False, False)


def test_modes_are_those_of_the_page():
    """docs/agents.md names every mode of every sample agent, and the tests above use no other."""
    page = (Path(__file__).parents[2] / "docs/agents.md").read_text(encoding="utf-8")
    for kind, sample in SAMPLES.items():
        assert f"| `{kind}` | {', '.join(f'`{mode}`' for mode in sample.agent.modes)} |" in page
    used = {(kind, mode) for kind, mode in SILENT if mode != "html"}
    assert used <= {(kind, mode) for kind, sample in SAMPLES.items() for mode in sample.agent.modes}
