"""The requests to gateways, against real sockets: what surely never left, what is in doubt, and what is read."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvloop

from gateways.sending import InDoubt, Later, Misconfigured, SendRequest, SendResponse
from tests.servers import free_port
from worker.agent_connection import ANSWER_MAX
from worker.reply_client import TOO_LATE, Limits, ReplyClient, ReplyConnection

SHORT = Limits(wait_s=0.3, connect_s=0.3, write_s=0.2, read_s=0.3)
BODY = b'{"text":"oi"}'
NOTHING = b""


class Gateway:
    """Answers every request with the same bytes, or never, and keeps or closes the connection."""

    def __init__(self, answer: bytes | None, *, keeps: bool = False) -> None:
        self.answer = answer
        self.keeps = keeps
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.called = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r")[0] or 0)
                self.requests.append(head + await reader.readexactly(length))
                self.called.set()
                if self.answer is None:
                    await reader.read()
                else:
                    writer.write(self.answer)
                if not self.keeps:
                    break
        writer.close()


@contextlib.asynccontextmanager
async def gateway(answer: bytes | None, *, keeps: bool = False) -> AsyncIterator[Gateway]:
    """A gateway on a port of its own."""
    one = Gateway(answer, keeps=keeps)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    yield one
    server.close()


def to(port: int, path: str = "/send", method: str = "POST") -> SendRequest:
    """A request with a secret in its headers."""
    url = f"http://127.0.0.1:{port}{path}"
    return SendRequest(method, url, {"apikey": "s3", "content-type": "application/json"}, BODY, url)


async def send(request: SendRequest, limits: Limits = SHORT, **options: object) -> object:
    """One request through a client of its own."""
    client = ReplyClient(limits)
    try:
        return await client.send(request, **options)  # type: ignore[arg-type]
    finally:
        await client.close()


def http(status: str, body: bytes = b"", *fields: bytes) -> bytes:
    """A whole response."""
    head = f"HTTP/1.1 {status}\r\n".encode() + b"".join(field + b"\r\n" for field in fields)
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


async def test_what_is_sent_and_read():
    """The request leaves as it was made, and the response has lower-case names."""
    async with gateway(http("201 Created", b'{"id":1}', b"X-Trace: a")) as one:
        found = await send(to(one.port, "/message/sendText/minha%20loja%2F1?a=%2B"))
    assert isinstance(found, SendResponse)
    assert (found.status, found.body, found.headers["x-trace"]) == (201, b'{"id":1}', "a")
    head, _, body = one.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /message/sendText/minha%20loja%2F1?a=%2B HTTP/1.1"
    assert {line.partition(": ")[0].lower() for line in lines[1:]} == {
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "apikey",
        "content-type",
        "content-length",
    }
    assert body == BODY


async def test_a_refused_connection_is_put_back():
    """Nothing left, and the reason names the address without its path."""
    port = free_port()
    found = await send(to(port, "/bot123:secret/sendMessage"))
    assert isinstance(found, Later)
    assert f"nobody listens at 127.0.0.1:{port}" in found.reason
    assert "secret" not in found.reason


async def test_an_unknown_name_is_put_back():
    """DNS comes before the first byte."""
    found = await send(SendRequest("POST", "http://gateway.invalid/x", {}, BODY, ""))
    assert isinstance(found, Later)
    assert "gateway.invalid" in found.reason


async def test_a_failed_tls_handshake_is_put_back():
    """A server without TLS never sees the request."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
    found = await send(SendRequest("POST", url, {}, BODY, ""), SHORT._replace(connect_s=5.0))
    server.close()
    assert isinstance(found, Later)
    assert "TLS" in found.reason


async def test_no_free_connection_is_put_back():
    """A request that waits for a connection of our own pool has not left."""
    async with gateway(None) as one:
        client = ReplyClient(SHORT._replace(per_host=1, read_s=5.0))
        first = asyncio.create_task(client.send(to(one.port)))
        await one.called.wait()
        second = await client.send(to(one.port))
        first.cancel()
        await client.close()
    assert isinstance(second, Later)
    assert len(one.requests) == 1


async def test_a_host_that_hangs_holds_up_no_other():
    """The pool has a share for each host."""
    async with gateway(None) as hanging, gateway(http("200 OK")) as well:
        client = ReplyClient(SHORT._replace(connections=2, per_host=1, read_s=5.0))
        first = asyncio.create_task(client.send(to(hanging.port)))
        await hanging.called.wait()
        found = await client.send(to(well.port))
        first.cancel()
        await client.close()
    assert isinstance(found, SendResponse)


DOUBTS = {
    "silence": (None, "did not answer within 0.3 s"),
    "closed without an answer": (NOTHING, "closed before an answer"),
    "not HTTP": (b"nonsense\r\n\r\n", "not HTTP"),
    "half a head": (b"HTTP/1.1 201 Created\r\nconte", "closed before an answer"),
    "half a body": (b"HTTP/1.1 201 Created\r\ncontent-length: 9\r\n\r\nabc", "not complete"),
    "too long": (http("200 OK", b"x" * (ANSWER_MAX + 1)), f"longer than {ANSWER_MAX}"),
    "unknown packing": (http("200 OK", b"abc", b"content-encoding: br"), "which was not asked for"),
    "broken packing": (http("200 OK", b"abc", b"content-encoding: gzip"), "answer broke"),
}


@pytest.mark.parametrize("case", DOUBTS)
async def test_what_is_in_doubt(case):
    """The request has left, and no response says what became of it."""
    answer, words = DOUBTS[case]
    async with gateway(answer) as one:
        found = await send(to(one.port))
    assert isinstance(found, InDoubt)
    assert words in found.reason
    assert len(one.requests) == 1


ERRORS = {
    "half a body": b"HTTP/1.1 429 Too Many\r\nretry-after: 7\r\ncontent-length: 9\r\n\r\nabc",
    "too long": http("429 Too Many", b"x" * (ANSWER_MAX + 1), b"retry-after: 7"),
    "endless": b"HTTP/1.1 429 Too Many\r\nretry-after: 7\r\ncontent-length: 9\r\n\r\n",
}


@pytest.mark.parametrize("case", ERRORS)
async def test_the_status_of_an_error_is_enough(case):
    """A 429 whose body cannot be read is still a 429."""
    async with gateway(ERRORS[case], keeps=case == "endless") as one:
        found = await send(to(one.port))
    assert isinstance(found, SendResponse)
    assert (found.status, found.headers["retry-after"], found.body) == (429, "7", b"")


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_a_redirect_is_not_followed(status):
    """The body and the path hold secrets, and the sentence names the other host alone."""
    async with gateway(http("200 OK")) as other:
        async with gateway(http(status, b"", b"location: http://127.0.0.1:%d/s3cret" % other.port)) as one:
            found = await send(to(one.port))
        assert isinstance(found, Misconfigured)
        assert f"http://127.0.0.1:{other.port}, which is not followed" in found.reason
        assert "s3cret" not in found.reason
        assert other.requests == []


async def test_an_impossible_address():
    """It is told as such, without the address."""
    found = await send(SendRequest("POST", "http://gateway:port/bot123:secret", {}, BODY, ""))
    assert found == Misconfigured("the gateway's address is not valid")


@pytest.mark.parametrize("keeps", [False, True], ids=["a new connection", "a kept connection"])
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_request_that_may_not_leave_any_more(loop, keeps):
    """It is asked once it has a connection; then not a byte of it is written, and the part is put back."""

    async def run() -> None:
        async with gateway(http("200 OK"), keeps=True) as one:
            client = ReplyClient(SHORT)
            if keeps:
                await client.send(to(one.port))
            asked = [0]

            def may_leave() -> bool:
                asked[0] += 1
                return False

            found = await client.send(to(one.port), may_leave)
            assert found == TOO_LATE
            assert asked[0]
            assert len(one.requests) == keeps
            assert isinstance(await client.send(to(one.port)), SendResponse)
            await client.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())


async def test_connections_are_kept():
    """A second request to a host uses the connection of the first."""
    async with gateway(http("200 OK"), keeps=True) as one:
        client = ReplyClient(SHORT)
        for _ in range(3):
            assert isinstance(await client.send(to(one.port)), SendResponse)
        await client.close()
    assert (one.connections, len(one.requests)) == (1, 3)


async def test_a_connection_that_was_closed_meanwhile(monkeypatch):
    """A kept connection turns out closed before the first byte: the request takes another one."""
    closed = [0]

    def close_once(connection: ReplyConnection, **params: Any) -> None:
        begin(connection, **params)
        if not closed[0]:
            closed[0] += 1
            connection.abort()

    async with gateway(http("200 OK"), keeps=True) as one:
        client = ReplyClient(SHORT)
        await client.send(to(one.port))
        begin = ReplyConnection.set_response_params
        monkeypatch.setattr(ReplyConnection, "set_response_params", close_once)
        assert isinstance(await client.send(to(one.port)), SendResponse)
        await client.close()
    assert (one.connections, len(one.requests), closed) == (2, 2, [1])


async def test_a_connection_that_never_opens_is_put_back():
    """A full backlog takes no connection within the time for one."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        found = await send(to(deaf.getsockname()[1]))
        for filler in fillers:
            filler.close()
    assert isinstance(found, Later)
