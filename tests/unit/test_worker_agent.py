"""The call to the agent, against a real socket: what is sent, and what every kind of answer means."""

from __future__ import annotations

import asyncio
import base64
import gc
import gzip
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from agents.results import AgentFailure, AgentReply
from buffer.models import Batch, Conversation, Reason
from gateways.sending import Part
from worker import agent as agent_module
from worker import agent_connection
from worker.agent import Agent

BATCH = Batch(
    "1:t", "flush-1", 3, 0, Reason.QUIET, Conversation("generic", "loja", "ana"), None, 1, 1, 1, "\n", None, ()
)
BODY = b'{"text":"oi"}'
JSON = b"content-type: application/json\r\n"


class Scripted:
    """Answers every request with the same bytes, or never; remembers what it read."""

    def __init__(self) -> None:
        self.reply: bytes | None = b""
        self.requests: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(len(BODY)))
        if self.reply is None:
            await reader.read()
        else:
            writer.write(self.reply)
            await writer.drain()
        writer.close()

    def headers(self) -> dict[str, str]:
        """The headers of the last request, by lower-case name."""
        head = self.requests[-1].partition(b"\r\n\r\n")[0].decode()
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in head.splitlines()[1:])}


@pytest.fixture
async def scripted() -> AsyncIterator[tuple[Scripted, int]]:
    one = Scripted()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    yield one, server.sockets[0].getsockname()[1]
    server.close()


async def call(make_settings, url: str, **overrides: object) -> AgentReply | AgentFailure:
    """One call with settings of its own."""
    agent = Agent(make_settings(agent_url=url, **overrides))
    try:
        return await agent.call(BATCH, BODY)
    finally:
        await agent.close()


def http(body: bytes, extra: bytes = JSON) -> bytes:
    """A complete answer."""
    return b"HTTP/1.1 200 OK\r\n" + extra + b"content-length: %d\r\n\r\n" % len(body) + body


async def test_what_is_sent(scripted, make_settings):
    """The body as it is, the key, the attempt, and nothing that would have the agent close the connection."""
    one, port = scripted
    one.reply = http(b'{"reply": "oi"}')
    assert await call(make_settings, f"http://127.0.0.1:{port}/a?b=c#d") == AgentReply((Part(text="oi"),))
    request, headers = one.requests[-1], one.headers()
    assert request.startswith(b"POST /a?b=c HTTP/1.1\r\n")
    assert request.endswith(b"\r\n\r\n" + BODY)
    assert headers["idempotency-key"] == "flush-1"
    assert headers["debouncer-attempt"] == "3"
    assert headers["content-type"] == "application/json"
    assert headers["content-length"] == str(len(BODY))
    assert headers["host"] == f"127.0.0.1:{port}"
    assert not {"connection", "authorization", "webhook-id", "transfer-encoding"} & set(headers)


HEAD = """\
POST /a?b=c HTTP/1.1
Host: {address}
content-type: application/json
user-agent: debouncer
accept: */*
accept-encoding: identity
{authorization}idempotency-key: flush-1
debouncer-attempt: 3
Content-Length: {length}

"""


def request_of(address: str, body: bytes, authorization: str = "") -> bytes:
    """The bytes of a request."""
    head = HEAD.format(address=address, length=len(body), authorization=authorization)
    return head.replace("\n", "\r\n").encode() + body


class KeptOpen:
    """Answers every request with `reply` and keeps the connection; remembers what it read, and in how many parts."""

    def __init__(self) -> None:
        self.reply = b"HTTP/1.1 204 No Content\r\n\r\n"
        self.connections = 0
        self.parts: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        left = 0
        while part := await reader.read(10_000_000):
            self.parts.append(part)
            head, end, body = part.partition(b"\r\n\r\n")
            if end:
                left = int(head.rpartition(b"Content-Length: ")[2]) - len(body)
            else:
                left -= len(part)
            if left == 0:
                writer.write(self.reply)
        writer.close()


@pytest.fixture
async def kept_open() -> AsyncIterator[tuple[KeptOpen, str]]:
    one = KeptOpen()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield one, f"{host}:{port}"
    server.close()


LARGE = 200_000


@pytest.mark.parametrize("bodies", [[BODY], [b"x" * 32_768] * 2, [b"x" * LARGE], [BODY, b"x" * LARGE, BODY]])
async def test_the_bytes_on_the_wire(kept_open, make_settings, bodies: list[bytes]):
    """Small bodies and large, on a new connection and on a kept one: these headers in this order, and no others."""
    one, address = kept_open
    agent = Agent(make_settings(agent_url=f"http://{address}/a?b=c#d"))
    for body in bodies:
        assert await agent.call(BATCH, body) == AgentReply()
    await agent.close()
    assert b"".join(one.parts) == b"".join(request_of(address, body) for body in bodies)
    assert one.connections == 1


async def test_the_bytes_on_the_wire_with_credentials(kept_open, make_settings):
    """The Authorization header stands behind the fixed ones."""
    one, address = kept_open
    agent = Agent(make_settings(agent_url=f"http://ana:p%40ss@{address}/a?b=c"))
    assert await agent.call(BATCH, BODY) == AgentReply()
    await agent.close()
    assert b"".join(one.parts) == request_of(address, BODY, "authorization: Basic YW5hOnBAc3M=\n")


async def test_a_small_request_is_one_write(kept_open, make_settings):
    """Head and body arrive together."""
    one, address = kept_open
    agent = Agent(make_settings(agent_url=f"http://{address}/"))
    await agent.call(BATCH, BODY)
    await agent.close()
    assert len(one.parts) == 1
    assert one.parts[0].endswith(b"\r\n\r\n" + BODY)


async def test_credentials_of_the_address(scripted, make_settings):
    """User and password in AGENT_URL become the Authorization header, and stand nowhere else."""
    one, port = scripted
    one.reply = http(b"")
    assert await call(make_settings, f"http://ana:p%40ss@127.0.0.1:{port}/") == AgentReply()
    assert one.headers()["authorization"] == "Basic " + base64.b64encode(b"ana:p@ss").decode()
    assert one.headers()["host"] == f"127.0.0.1:{port}"


async def test_compressed_answer(scripted, make_settings):
    """An agent behind a compressing proxy is understood."""
    one, port = scripted
    one.reply = http(gzip.compress(b'{"reply": "oi"}'), JSON + b"content-encoding: gzip\r\n")
    assert await call(make_settings, f"http://127.0.0.1:{port}/") == AgentReply((Part(text="oi"),))


BROKEN = {
    "no answer": (b"", "broke"),
    "not HTTP": (b"nonsense\r\n\r\n", "not HTTP"),
    "endless header": (b"HTTP/1.1 200 OK\r\na: " + b"x" * 50_000 + b"\r\n\r\n", "not HTTP"),
    "half a body": (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", "broke"),
    "broken compression": (http(b"plain", JSON + b"content-encoding: gzip\r\n"), "broke"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_broken_answers_are_tried_again(scripted, make_settings, name: str):
    """Whatever comes instead of an answer, the request may have been seen; it is never an exception."""
    one, port = scripted
    one.reply, words = BROKEN[name]
    problem = await call(make_settings, f"http://127.0.0.1:{port}/?token=secret")
    assert isinstance(problem, AgentFailure)
    assert (problem.sent, problem.dead) == (True, False)
    assert words in problem.error
    assert "secret" not in problem.error


async def test_nobody_listens(make_settings):
    """A refused connection was never sent."""
    problem = await call(make_settings, "http://127.0.0.1:1/")
    assert isinstance(problem, AgentFailure)
    assert not problem.sent
    assert "cannot be reached" in problem.error


@pytest.fixture
def full_queue() -> Iterator[int]:
    """The port of a server that accepts nobody, and whose queue of connections is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        yield server.getsockname()[1]
        for one in waiting:
            one.close()


async def test_nobody_takes_the_connection(full_queue: int, make_settings, monkeypatch):
    """The limit for a connection is not AGENT_TIMEOUT, and its error says so. The request was never sent."""
    monkeypatch.setattr(agent_module, "CONNECT_TIMEOUT_S", 0.1)
    monkeypatch.setattr(agent_connection, "CONNECT_TIMEOUT_S", 0.1)
    failure = await call(make_settings, f"http://127.0.0.1:{full_queue}/")
    assert isinstance(failure, AgentFailure)
    assert not failure.sent
    assert f"127.0.0.1:{full_queue} did not take the connection within 0.1 s" in failure.error


async def test_cookies_are_not_kept(kept_open, make_settings):
    """A cookie that the agent sets is not sent back: every attempt is the same request."""
    one, address = kept_open
    one.reply = b"HTTP/1.1 204 No Content\r\nset-cookie: a=b; path=/\r\n\r\n"
    address = address.replace("127.0.0.1", "localhost")  # aiohttp keeps no cookies of a bare address
    agent = Agent(make_settings(agent_url=f"http://{address}/a?b=c"))
    for _ in range(2):
        assert await agent.call(BATCH, BODY) == AgentReply()
    await agent.close()
    assert b"".join(one.parts) == request_of(address, BODY) * 2


async def test_a_header_that_is_not_utf_8(scripted, make_settings):
    """Its words can be logged and stored."""
    one, port = scripted
    one.reply = http(b"{", b"content-type: n\xe3o\r\n")
    reply = await call(make_settings, f"http://127.0.0.1:{port}/")
    assert reply == AgentReply(not_understood="a body of type não that is not JSON")


TARGETS = {
    b"location: https://ana.example:8443/a?token=secret\r\n": " to https://ana.example:8443",
    b"location: /elsewhere\r\n": " to http://127.0.0.1:PORT",
    b"": "",
}


@pytest.mark.parametrize("field", TARGETS)
async def test_a_redirect_names_its_target(scripted, make_settings, field: bytes):
    """The error says to which host the agent redirects, if it says so, and no more of that address."""
    one, port = scripted
    one.reply = answer(b"302 Found", field)
    failure = await call(make_settings, f"http://127.0.0.1:{port}/")
    target = TARGETS[field].replace("PORT", str(port))
    assert failure == AgentFailure(
        f"the agent answered 302: AGENT_URL redirects{target}, which is not followed; set the final address"
    )


def answer(status: bytes, extra: bytes = b"") -> bytes:
    """A complete answer without a body."""
    return b"HTTP/1.1 " + status + b"\r\n" + extra + b"content-length: 0\r\n\r\n"


async def test_the_reason_phrase(scripted, make_settings):
    """The reason phrase, in any encoding, changes nothing."""
    one, port = scripted
    one.reply = answer("200 Feito, até já".encode("latin-1"))
    assert await call(make_settings, f"http://127.0.0.1:{port}/") == AgentReply()
    one.reply = answer("503 Serviço indisponível".encode("latin-1"))
    problem = await call(make_settings, f"http://127.0.0.1:{port}/")
    assert problem == AgentFailure("the agent answered 503")


@pytest.mark.parametrize("value", ["²", "soon", "-1", "Fri, 31 Dec 99999999999999999999 23:59:59 GMT", "1e999"])
async def test_retry_after_that_says_nothing(scripted, make_settings, value: str):
    """A value that is no time from now is as good as none."""
    one, port = scripted
    one.reply = answer(b"503 Later", b"retry-after: " + value.encode() + b"\r\n")
    problem = await call(make_settings, f"http://127.0.0.1:{port}/")
    assert problem == AgentFailure("the agent answered 503")


async def test_failed_calls_hold_nothing(make_settings):
    """While the agent is away, bodies are freed with their calls, without a garbage collection."""
    agent = Agent(make_settings(agent_url="http://127.0.0.1:1/"))
    await agent.call(BATCH, BODY)
    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            await agent.call(BATCH, BODY)
        assert gc.collect() < 50
    finally:
        gc.enable()
        await agent.close()


async def test_agent_that_says_nothing(scripted, make_settings):
    """AGENT_TIMEOUT bounds the whole call."""
    one, port = scripted
    one.reply = None
    problem = await call(make_settings, f"http://127.0.0.1:{port}/", agent_timeout=0.05)
    assert isinstance(problem, AgentFailure)
    assert problem.sent
    assert "AGENT_TIMEOUT=0.05" in problem.error
