"""An agent answers 202, and posts its answer later: stored once, then sent like any other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.gateway_stubs.evolution import EvolutionStub
from tests.integration.agent import Answer
from tests.integration.deployment import Deployment
from tests.integration.polling import until
from tests.integration.reply_line import SENDS, ReplyLine
from tests.servers import Server

ANA = "5511900000011"
TOKEN = "answer-token"
LATER = Answer(202, b'{"message":"Workflow was started"}', "application/json")


@pytest.fixture
def stub() -> Iterator[EvolutionStub]:
    one = EvolutionStub()
    one.open()
    yield one
    one.close()


@pytest.fixture
def line(stub: EvolutionStub, start_deployment: Callable[..., Deployment]) -> Callable[..., ReplyLine]:
    """Start a deployment with an n8n agent: line(agent_answer_within=1)."""

    def start(server: Server | None = None, **settings: Any) -> ReplyLine:
        common = {**SENDS, "evolution_url": stub.url, "agent_kind": "n8n", "agent_answer_token": TOKEN}
        way = ReplyLine(start_deployment(server, **{**common, **settings}), stub)
        way.deployment.agent.default = LATER
        way.deployment.worker()
        return way

    return start


def post(way: ReplyLine, flush_id: str, body: Any, token: str = TOKEN, **more: Any) -> httpx.Response:
    """Post an answer as the agent does."""
    url = f"http://127.0.0.1:{way.webhook.port}/flushes/{flush_id}/answer"
    headers = {"authorization": f"Bearer {token}"}
    return httpx.post(url, json=body, headers=headers, timeout=30, **more)


def called(way: ReplyLine, number: int = 1) -> str:
    """Wait for a call of Ana's. Return its flush_id."""
    until("the agent is called", lambda: len(way.calls_of(ANA)) >= number)
    return way.calls_of(ANA)[number - 1].key


def test_an_answer_that_comes_later(line, stub):
    """It is sent once, however often it is posted; what the person wrote meanwhile is delivered after it."""
    way = line()
    way.say(ANA, "oi")
    flush_id = called(way)
    way.say(ANA, "ainda?")
    assert stub.journal == []
    answers = [post(way, flush_id, {"output": "pronto"}) for _ in range(3)]
    assert [(one.status_code, one.json()) for one in answers] == [(200, {"flush_id": flush_id, "status": "stored"})] * 3
    way.wait_heard(ANA, ["pronto"])
    second = called(way, 2)
    assert post(way, second, {"replies": ["um", "dois"]}).status_code == 200
    way.wait_heard(ANA, ["pronto", "um", "dois"])
    way.wait_idle()
    assert [call.texts for call in way.calls_of(ANA)] == [["oi"], ["ainda?"]]
    assert way.counters()["acked"] == 2
    assert post(way, flush_id, {"output": "pronto"}).status_code == 200
    assert way.hears(ANA) == ["pronto", "um", "dois"]


def test_who_may_post(line, stub):
    """The token for answers, or that of operators; it opens nothing else. A wrong one changes nothing."""
    way = line(admin_token="admin-token")
    way.say(ANA, "oi")
    flush_id = called(way)
    assert post(way, flush_id, {"output": "fake"}, token="wrong").status_code == 401
    listing = httpx.get(
        f"http://127.0.0.1:{way.webhook.port}/flushes", headers={"authorization": f"Bearer {TOKEN}"}, timeout=30
    )
    assert listing.status_code == 401
    big = {"output": "x" * 1_100_000}
    assert post(way, flush_id, big).status_code == 413
    chunks = itertools.repeat(b"x" * 100_000, 12)
    url = f"http://127.0.0.1:{way.webhook.port}/flushes/{flush_id}/answer"
    cut = httpx.post(url, content=chunks, headers={"authorization": f"Bearer {TOKEN}"}, timeout=30)
    assert cut.status_code == 413
    assert post(way, f"{flush_id}x", {"output": "fake"}).status_code == 404
    assert post(way, "nothing", {"output": "fake"}).status_code == 404
    assert post(way, flush_id, {"output": "certo"}, token="admin-token").status_code == 200
    way.wait_heard(ANA, ["certo"])
    assert stub.texts(ANA) == ["certo"]


def test_an_answer_that_never_comes(line, stub):
    """After AGENT_ANSWER_WITHIN the agent is called again with the same key, and in the end it is a dead letter."""
    way = line(agent_answer_within=0.5, agent_max_attempts=2)
    way.say(ANA, "oi")
    way.wait_idle()
    assert len({call.key for call in way.calls_of(ANA)}) == 1
    assert len(way.calls_of(ANA)) == 2
    [letter] = way.dead()
    assert letter.error == "the agent answered 202, and posted no answer within AGENT_ANSWER_WITHIN=0.5 s"
    assert post(way, way.calls_of(ANA)[0].key, {"output": "tarde"}).status_code == 404
    assert stub.journal == []


def test_never_called_again(line):
    """With AGENT_REPEAT=never it is a dead letter at once."""
    way = line(agent_answer_within=0.5, agent_repeat="never")
    way.say(ANA, "oi")
    way.wait_idle()
    assert len(way.calls_of(ANA)) == 1
    assert "the agent may have run" in way.dead()[0].error


@pytest.mark.parametrize(("within", "waits"), [(None, False), (300, True)])
def test_a_generic_agent(line, within: float | None, waits: bool):
    """Its 202 means what it always meant, that it answers by itself, unless AGENT_ANSWER_WITHIN is set."""
    way = line(agent_kind="generic", **({"agent_answer_within": within} if within else {}))
    way.say(ANA, "oi")
    flush_id = called(way)
    if waits:
        assert post(way, flush_id, {"reply": "pronto"}).status_code == 200
        way.wait_heard(ANA, ["pronto"])
    way.wait_idle()
    assert way.counters()["acked"] == 1
    if not waits:
        assert post(way, flush_id, {"reply": "tarde"}).status_code == 404


def test_workers_and_redis_may_restart_meanwhile(line, stub, start_server):
    """The wait stands in Redis. The answer is posted before any worker is back."""
    server = start_server(appendonly="yes", appendfsync="always")
    way = line(server)
    way.say(ANA, "oi")
    flush_id = called(way)
    until("it waits", lambda: way.deployment.redis.hlen(f"deb:{{p0}}:conv:{flush_id.split('-', 1)[1][:16]}") > 0)
    until("no lease is held", lambda: not way.deployment.redis.keys("deb:*:lock:*"))
    for process in way.deployment._started[1:]:
        process.kill()
    server.kill()
    server.restart()
    until("messages are accepted", lambda: way.webhook.get("/readyz").status_code == 200)
    assert post(way, flush_id, {"output": "pronto"}).status_code == 200
    assert stub.journal == []
    way.deployment.worker()
    way.wait_heard(ANA, ["pronto"])
    way.wait_idle()
    assert len(way.calls_of(ANA)) == 1
