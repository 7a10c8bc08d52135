"""The call to an agent that breaks HTTP, or sends without end: it ends, it is classed, and it costs bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import chain, repeat

import pytest

from agents.results import AgentFailure, AgentReply
from gateways.sending import Part
from tests.unit.test_worker_agent import BATCH, BODY, JSON
from worker.agent import Agent
from worker.agent_connection import ANSWER_MAX, HEAD_MAX

OK = b"HTTP/1.1 200 OK\r\n"
REPLY = b'{"reply": "oi"}'
GIB = 1024**3
WITHIN_S = 30.0
PATIENCE_S = 0.3
MEMORY_MAX = 16 * ANSWER_MAX
"""Peak of Python's memory for one call: the answer, what it is parsed to, and what the server here holds itself."""

Pieces = Callable[[], Iterator[bytes]]
"""An answer in pieces. An empty one is a pause."""


def whole(body: bytes, *fields: bytes, status: bytes = OK) -> Pieces:
    """A complete answer in one piece."""
    head = status + JSON + b"".join(fields) + b"content-length: %d\r\n\r\n" % len(body)
    return lambda: iter([head + body])


def once(answer: bytes) -> Pieces:
    """These bytes, and then the connection is closed."""
    return lambda: iter([answer])


def endless(start: bytes, piece: bytes) -> Pieces:
    """An answer that goes on for a gibibyte, or for ever if the piece is a drop."""

    def pieces() -> Iterator[bytes]:
        yield start
        for _ in range(GIB // len(piece)):
            yield piece
            if len(piece) < 100:
                yield b""

    return pieces


def hanging(start: bytes) -> Pieces:
    """An answer that begins and does not go on."""
    return lambda: chain([start], repeat(b""))


def packed(size: int, layers: int = 1) -> bytes:
    """Zeros under some layers of gzip."""
    content = bytes(size)
    for _ in range(layers):
        content = gzip.compress(content, 9)
    return content


def gzipped_part(text: bytes, missing: int) -> bytes:
    """A complete answer, whose gzip data lacks its last bytes."""
    part = gzip.compress(text)[:-missing]
    return b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(part) + part


CHUNKED = OK + JSON + b"transfer-encoding: chunked\r\n\r\n"
TOO_LONG = f"an answer longer than {ANSWER_MAX} bytes"
LONG_HEAD = f"the agent's answer is not HTTP: it begins with more than {HEAD_MAX} bytes of headers"
NO_END = f"the agent did not answer within AGENT_TIMEOUT={PATIENCE_S:g} s"
NO_HTTP = "the agent's answer is not HTTP"
INCOMPLETE = "the connection to the agent broke: the answer is not complete"

RETRIED: dict[str, tuple[Pieces, str]] = {
    "drip of a body": (endless(OK + JSON + b"content-length: 9999\r\n\r\n", b" "), NO_END),
    "drip of a head": (endless(OK, b"x-drop: x\r\n"), NO_END),
    "drip of chunks": (endless(CHUNKED, b"1\r\nx\r\n"), NO_END),
    "head only": (hanging(OK + JSON + b"content-length: 15\r\n\r\n"), NO_END),
    "half a head": (hanging(OK + JSON), NO_END),
    "interim flood": (endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2000), LONG_HEAD),
    "early hints flood": (endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 2000), LONG_HEAD),
    "flood of fields": (endless(OK, b"x-field: value\r\n" * 2000), NO_HTTP),
    "huge field": (endless(OK + b"x-long: ", b"x" * 65_536), NO_HTTP),
    "huge status line": (endless(b"HTTP/1.1 200 ", b"x" * 65_536), NO_HTTP),
    "no HTTP": (once(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), NO_HTTP),
    "cut short": (once(OK + JSON + b"content-length: 900\r\n\r\n" + REPLY), INCOMPLETE),
    "chunk of garbage": (once(CHUNKED + b"zz\r\n"), ""),
    "flood after a 500": (
        endless(b"HTTP/1.1 500 No\r\ncontent-length: %d\r\n\r\n" % GIB, b"x" * 65_536),
        f"the agent answered 500 with {TOO_LONG}",
    ),
    "two layers after a 500": (
        whole(packed(9, 2), b"content-encoding: gzip, gzip\r\n", status=b"HTTP/1.1 500 No\r\n"),
        "the agent answered 500 with content-encoding 'gzip, gzip', which was not asked for",
    ),
    "half a text as gzip": (
        once(OK + b"content-type: text/plain\r\n" + gzipped_part(b"sim, temos em azul e em verde", 12)),
        "the agent's answer broke: its gzip data is broken (it ends too early)",
    ),
    "garbage as gzip": (whole(b"plain", b"content-encoding: gzip\r\n"), "the agent's answer broke: its gzip data"),
}

NOT_UNDERSTOOD: dict[str, tuple[Pieces, str]] = {
    "gibibyte": (endless(OK + b"content-length: %d\r\n\r\n" % GIB, b"x" * 65_536), TOO_LONG),
    "chunks without end": (endless(CHUNKED, b"10000\r\n" + b"x" * 65_536 + b"\r\n"), TOO_LONG),
    "chunk extension without end": (endless(CHUNKED + b"1;", b"x" * 65_536), TOO_LONG),
    "gzip bomb": (whole(packed(64 * ANSWER_MAX), b"content-encoding: gzip\r\n"), TOO_LONG),
    "deflate bomb": (whole(zlib.compress(bytes(64 * ANSWER_MAX)), b"content-encoding: deflate\r\n"), TOO_LONG),
    "gzip in gzip": (whole(packed(64 * ANSWER_MAX, 2), b"content-encoding: gzip, gzip\r\n"), "'gzip, gzip'"),
    "gzip in deflate": (whole(b"x", b"content-encoding: gzip\r\ncontent-encoding: deflate\r\n"), "'gzip, deflate'"),
    "brotli": (whole(b"x", b"content-encoding: br\r\n"), "'br', which was not asked for"),
    "deep JSON": (whole(b"[" * 500_000), "not JSON"),
    "HTML": (lambda: iter([OK + b"content-type: text/html\r\ncontent-length: 3\r\n\r\n<p>"]), "an HTML page"),
}

UNDERSTOOD: dict[str, Pieces] = {
    "gzip": whole(gzip.compress(REPLY), b"content-encoding: gzip\r\n"),
    "x-gzip in capitals": whole(gzip.compress(REPLY), b"content-encoding: X-GZIP\r\n"),
    "deflate": whole(zlib.compress(REPLY), b"content-encoding: deflate\r\n"),
    "deflate without a header": whole(zlib.compress(REPLY)[2:-4], b"content-encoding: deflate\r\n"),
    "identity and gzip": whole(gzip.compress(REPLY), b"content-encoding: identity, gzip\r\n"),
    "no coding at all": whole(REPLY, b"content-encoding: utf-8\r\n"),
    "interim answers": lambda: iter([b"HTTP/1.1 102 Processing\r\n\r\n" * 50, *whole(REPLY)()]),
    "head and a large body together": whole(REPLY + b" " * (ANSWER_MAX - len(REPLY))),
    "one byte a chunk": once(CHUNKED + b"".join(b"1\r\n%c\r\n" % one for one in REPLY) + b"0\r\n\r\n"),
    "many small chunks": once(CHUNKED + b"f\r\n%s\r\n" % REPLY + b"8\r\n        \r\n" * 50_000 + b"0\r\n\r\n"),
}


class Hostile:
    """Answers every request with the pieces of `answer`."""

    def __init__(self) -> None:
        self.answer: Pieces = whole(REPLY)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(len(BODY))
            for piece in self.answer():
                writer.write(piece)
                await (writer.drain() if piece else asyncio.sleep(PATIENCE_S / 10))
        writer.close()


@pytest.fixture
async def hostile() -> AsyncIterator[tuple[Hostile, str]]:
    one = Hostile()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    yield one, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    server.close()


async def call(make_settings, url: str, **overrides: object) -> AgentReply | AgentFailure:
    """One call that must end, and that Python's memory has room for."""
    agent = Agent(make_settings(agent_url=url, **overrides))
    tracemalloc.start()
    try:
        async with asyncio.timeout(WITHIN_S):
            return await agent.call(BATCH, BODY)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        await agent.close()
        assert peak < MEMORY_MAX


@pytest.mark.parametrize("name", RETRIED)
async def test_it_is_tried_again(hostile, make_settings, name: str):
    """The agent may have seen the request, and did not say that it took it."""
    one, url = hostile
    one.answer, words = RETRIED[name]
    failure = await call(make_settings, url, agent_timeout=PATIENCE_S if words == NO_END else WITHIN_S)
    assert isinstance(failure, AgentFailure)
    assert (failure.sent, failure.dead) == (True, False)
    assert failure.error.startswith(words)


SAID = b"oi Ana 5511900000001"


@pytest.mark.parametrize(
    "answer",
    [
        SAID + b"\r\n\r\n",
        b"HTTP/1.1 2xx " + SAID + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + SAID + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-said: " + SAID + b"\x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: " + SAID + b"\r\n\r\n",
        CHUNKED + SAID + b"\r\n",
    ],
)
async def test_an_error_quotes_nothing_of_the_answer(hostile, make_settings, answer: bytes):
    """What is no HTTP may be the text of a reply, or hold a number: the error goes into the log and to operators."""
    one, url = hostile
    one.answer = once(answer)
    failure = await call(make_settings, url)
    assert isinstance(failure, AgentFailure)
    assert not any(word.decode() in failure.error for word in SAID.split())
    assert len(failure.error) > len(NO_HTTP)


async def test_no_number_of_the_answer_is_named(hostile, make_settings):
    """A field that is not known is named only if it looks like a name."""
    one, url = hostile
    one.answer = whole(b'{"replies": [{"5511900000001": 1, "oi Ana": 2, "textt": 3}]}')
    reply = await call(make_settings, url)
    assert isinstance(reply, AgentReply)
    assert "`?`, `?`, `textt`" in str(reply.not_understood)


@pytest.mark.parametrize("name", NOT_UNDERSTOOD)
async def test_it_is_an_ack_without_a_reply(hostile, make_settings, name: str):
    """A 2xx is an ack. What is too long, or packed in a way that was not asked for, is no reply."""
    one, url = hostile
    one.answer, words = NOT_UNDERSTOOD[name]
    reply = await call(make_settings, url)
    assert isinstance(reply, AgentReply)
    assert reply.parts == ()
    assert words in str(reply.not_understood)


@pytest.mark.parametrize("name", UNDERSTOOD)
async def test_it_is_understood(hostile, make_settings, name: str):
    """Answers that are odd, and that HTTP allows."""
    one, url = hostile
    one.answer = UNDERSTOOD[name]
    assert (await call(make_settings, url)) == AgentReply((Part(text="oi"),))


async def test_an_agent_that_does_not_read(make_settings):
    """It answers half and reads nothing: when the call ends, so does its connection, with what was not yet sent."""
    go_on, read = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"content-length: 15\r\n\r\n{")
        await go_on.wait()
        size = 0
        with contextlib.suppress(OSError):
            while part := await reader.read(1_000_000):
                size += len(part)
        writer.close()
        read.set_result(size)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    agent = Agent(make_settings(agent_url=url, agent_timeout=PATIENCE_S))
    body = bytes(50_000_000)
    async with asyncio.timeout(WITHIN_S):
        failure = await agent.call(BATCH, body)
        assert failure == AgentFailure(NO_END, doubt=True)
        go_on.set()
        assert await read < len(body)
        await agent.close()
    server.close()


async def test_bytes_that_nobody_asked_for(make_settings):
    """What an agent sends after its answer is not the answer to the next call: the connection is closed."""
    answered, closed = asyncio.Event(), asyncio.Event()
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        number = connections
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(len(BODY))
        writer.writelines(whole(b'{"reply": "%d"}' % number)())
        await answered.wait()
        if number == 1:
            writer.writelines(whole(b'{"reply": "stale"}')())
            with contextlib.suppress(OSError):
                await reader.read()
            closed.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    agent = Agent(make_settings(agent_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"))
    async with asyncio.timeout(WITHIN_S):
        assert await agent.call(BATCH, BODY) == AgentReply((Part(text="1"),))
        answered.set()
        await closed.wait()
        assert await agent.call(BATCH, BODY) == AgentReply((Part(text="2"),))
        await agent.close()
    server.close()
