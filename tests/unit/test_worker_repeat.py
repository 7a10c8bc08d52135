"""AGENT_REPEAT=never, for every kind: a call that may have run is not made again."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from agents.results import AgentFailure, AgentReply
from buffer.models import Batch, Conversation, Reason, StoredMessage
from cli.sample.kinds import SAMPLES
from config.routes import load_routes
from worker.agents import Agents
from worker.repeat import MAY_HAVE_RUN

WHO = Conversation("generic", "loja", "5511900000001")
STORED = (StoredMessage(1, {"message_id": "m1", "text": "oi"}, order_ms=1),)
BATCH = Batch("1:t", "flush-1", 1, 0, Reason.QUIET, WHO, None, 1, 1, 1, "\n", None, STORED)
AFTER_A_CRASH = BATCH._replace(attempt=2, crashes=1)


class Answering:
    """An HTTP server that gives every request the same answer, or breaks the connection. It counts requests."""

    def __init__(self, reply: bytes) -> None:
        self.calls = 0
        self._reply = reply

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.calls += 1
        writer.write(self._reply)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def answering(reply: bytes) -> AsyncIterator[tuple[Answering, str]]:
    one = Answering(reply)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    async with server:
        yield one, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def http(status: int, body: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s" % (status, len(body), body)


async def called(make_settings, batch: Batch, **settings: object) -> AgentReply | AgentFailure:
    """What becomes of one batch."""
    agents = Agents(load_routes(make_settings(**settings)))
    try:
        return await agents.call(batch)
    finally:
        await agents.close()


@pytest.mark.parametrize(
    ("status", "dead"), [(500, True), (502, True), (504, True), (503, False), (429, False), (404, False)]
)
async def test_a_status_behind_which_the_agent_may_have_run(make_settings, status: int, dead: bool):
    """Such a burst is a dead letter that says so. The others surely did nothing, and wait."""
    async with answering(http(status)) as (_, url):
        result = await called(make_settings, BATCH, agent_url=url, agent_repeat="never")
        assert isinstance(result, AgentFailure)
        assert (result.dead, MAY_HAVE_RUN in result.error) == (dead, dead)
        unbound = await called(make_settings, BATCH, agent_url=url)
        assert isinstance(unbound, AgentFailure)
        assert not unbound.dead


async def test_a_connection_that_broke(make_settings):
    """The request has left, and nobody knows what became of it."""
    async with answering(b"") as (_, url):
        result = await called(make_settings, BATCH, agent_url=url, agent_repeat="never")
        assert isinstance(result, AgentFailure)
        assert result.dead


async def test_an_agent_that_is_away(make_settings):
    """A refused connection is no doubt: nothing has left."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    result = await called(make_settings, BATCH, agent_url=url, agent_repeat="never")
    assert isinstance(result, AgentFailure)
    assert (result.sent, result.dead) == (False, False)


@pytest.mark.parametrize("kind", ["generic", *SAMPLES])
async def test_a_batch_whose_worker_died(make_settings: Callable[..., object], kind: str):
    """No kind is called again. Only Typebot has `never` as its default."""
    named = {name.lower(): value for name, value in SAMPLES[kind].settings.items()} if kind in SAMPLES else {}
    async with answering(http(204)) as (one, url):
        settings = {"agent_url": url, "agent_kind": kind, **named}
        result = await called(make_settings, AFTER_A_CRASH, **settings, agent_repeat="never")
        assert isinstance(result, AgentFailure)
        assert (result.dead, result.error, one.calls) == (True, MAY_HAVE_RUN, 0)
        await called(make_settings, AFTER_A_CRASH, **settings)
        assert (one.calls == 0) == (kind == "typebot")
