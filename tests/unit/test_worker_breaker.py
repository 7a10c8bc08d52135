"""The breaker of an agent in one process: what counts as a failure for everyone, and when Redis is asked at all."""

from __future__ import annotations

import errno
from typing import Any, cast

import aiohttp
import pytest
from structlog.testing import capture_logs

from agents.results import AgentFailure, AgentReply, doubt, later, misconfigured, refused
from buffer.errors import StoreUnavailable
from buffer.held_agent_calls import AgentVerdict, Strike
from buffer.held_agents import AgentsNow, HeldAgents
from buffer.models import Batch, Conversation, Reason
from worker.agent_errors import is_ours
from worker.breaker import PEOPLE, Breakers
from worker.circuit import Circuit, circuit_of

CIRCUIT = Circuit("tag", "http://agent")
DOWN = AgentFailure("nobody listens", sent=False)


def batch(peer: str = "5511900000001") -> Batch:
    who = Conversation("generic", "loja", peer)
    return Batch("1:t", "flush-1", 1, 0, Reason.QUIET, who, None, 1, 1, 1, "\n", None, ())


class FakeAgents:
    """Redis, as one process sees it: it counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.people: set[str] = set()
        self.is_held = False
        self.is_away = False

    def _ask(self, verb: str) -> None:
        self.asked.append(verb)
        if self.is_away:
            raise StoreUnavailable("away")

    async def strike(self, strike: Strike) -> AgentVerdict:
        self._ask("strike")
        self.people.add(strike.person)
        before, self.is_held = self.is_held, len(self.people) >= strike.people
        return AgentVerdict("held" if before else "opened" if self.is_held else "works", 5_000)

    async def probe(self, tag: str, first_ms: int, longest_ms: int) -> AgentVerdict:
        self._ask("probe")
        return AgentVerdict("held" if self.is_held else "works", 1_000)

    async def works(self, tag: str) -> int:
        self._ask("works")
        was_held, self.is_held = self.is_held, False
        self.people.clear()
        return 7_000 if was_held else 0

    async def now(self) -> AgentsNow:
        self._ask("now")
        return AgentsNow(0, [])

    async def wake_all(self, tag: str) -> int:
        self._ask("wake_all")
        return 0


@pytest.fixture
def redis() -> FakeAgents:
    return FakeAgents()


@pytest.fixture
def breakers(redis: FakeAgents, make_settings) -> Breakers:
    return Breakers(cast(HeldAgents, redis), make_settings())


async def fail_for(breakers: Breakers, people: int, failure: AgentFailure = DOWN) -> list[Any]:
    """Let calls for so many people fail."""
    return [await breakers.judge(CIRCUIT, batch(f"55119000000{n:02}"), failure) for n in range(people)]


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (DOWN, True),
        (AgentFailure("no descriptor left", sent=False, ours=True), False),
        (misconfigured("the key is wrong"), True),
        *((AgentFailure("x", status=status), True) for status in (401, 403, 404, 405, 500, 502, 503)),
        *((AgentFailure("x", status=status), False) for status in (400, 409, 422, 429)),
        (later("busy"), False),
        (doubt("no answer in time"), False),
        (refused("this burst"), False),
    ],
)
def test_what_fails_for_everyone(failure: AgentFailure, expected: bool):
    """Nobody listens, a wrong key or address, an agent that is broken; not what is about one burst, nor a time-out."""
    assert failure.is_for_everyone is expected


def test_what_is_this_machines_fault():
    """A process without file descriptors says nothing about the agent."""
    error = aiohttp.ClientOSError(errno.EMFILE, "Too many open files")
    assert is_ours(error)
    assert not is_ours(aiohttp.ClientOSError(errno.ECONNREFUSED, "refused"))


async def test_while_all_is_well_nobody_is_asked(breakers: Breakers, redis: FakeAgents):
    """Answers, refusals of one burst and time-outs cost no command."""
    for result in (AgentReply(), AgentFailure("x", status=422), doubt("no answer in time")):
        assert await breakers.held(CIRCUIT) is None
        assert await breakers.judge(CIRCUIT, batch(), result) is result
    assert redis.asked == []


async def test_it_opens_and_closes_once(breakers: Breakers, redis: FakeAgents):
    """The failure that opens it counts no more, nor those after it; an answer closes it. One log line for each."""
    with capture_logs() as lines:
        results = await fail_for(breakers, PEOPLE + 1)
        assert [result.held for result in results] == [""] * (PEOPLE - 1) + ["tag"] * 2
        assert [result.is_counted for result in await fail_for(breakers, 1, AgentFailure("x", status=500))] == [False]
        held = await breakers.held(CIRCUIT)
        assert held is not None
        assert (held.called, held.is_counted) == (False, False)
        await breakers.judge(CIRCUIT, batch(), AgentReply())
        assert await breakers.held(CIRCUIT) is None
    events = [line["event"] for line in lines if line["log_level"] in ("error", "info")]
    assert [event.partition(":")[0] for event in events] == [
        "the agent at http",
        "the agent at http",
    ]
    assert "fails for everyone" in events[0]
    assert "works again" in events[1]
    await breakers.look()
    await breakers.look()
    assert redis.asked.count("wake_all") == 2
    await breakers.look()
    assert redis.asked.count("wake_all") == 2


async def test_a_dead_letter_stays_one(breakers: Breakers):
    """A burst that must not be repeated is dead, though its agent fails for everyone."""
    failure = AgentFailure("the agent may have run", dead=True, doubt=True, status=500)
    results = await fail_for(breakers, PEOPLE, failure)
    assert [(result.dead, result.is_counted) for result in results] == [(True, True)] * PEOPLE


async def test_redis_away(breakers: Breakers, redis: FakeAgents):
    """Without Redis calls are made, and failures count as ever."""
    await fail_for(breakers, PEOPLE)
    redis.is_away = True
    assert await breakers.held(CIRCUIT) is None
    [result] = await fail_for(breakers, 1)
    assert result == DOWN
    await breakers.judge(CIRCUIT, batch(), AgentReply())


def test_which_agents_are_one(make_settings):
    """The address and the login make an agent, and neither can be read from its tag or its address for people."""
    base = {"agent_url": "https://user:pass@n8n.example.com/webhook/secret", "agent_key": "key-1", "agent_kind": "n8n"}
    one = circuit_of(make_settings(**base))
    assert one == circuit_of(make_settings(**base, agent_timeout=5.0, message_buffer_timeout=3.0))
    for change in ({"agent_key": "key-2"}, {"agent_url": "https://n8n.example.com/other"}, {"agent_kind": "generic"}):
        assert circuit_of(make_settings(**{**base, **change})).tag != one.tag
    assert one.address == "https://n8n.example.com"
