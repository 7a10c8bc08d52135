"""The short ways of the agent's session: the same bytes as aiohttp's own, and what they lean on in aiohttp."""

from __future__ import annotations

import asyncio
import inspect
import ssl
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from aiohttp.http_writer import StreamWriter

from worker.session import BODY_MAX, _Connector, _Request, open_session

HEADERS = {
    "content-type": "application/json",
    "user-agent": "debouncer",
    "accept": "*/*",
    "accept-encoding": "gzip, deflate",
}
OWN = {"idempotency-key": "flush-1"}
LARGE = BODY_MAX + 1


class Recorder:
    """Answers 204 as soon as a head has come, and keeps what it read."""

    def __init__(self) -> None:
        self.read = b""
        self.parts = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(1_000_000):
            self.read += part
            self.parts += 1
            if b"\r\n\r\n" in part:
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()


@pytest.fixture
async def recorder() -> AsyncIterator[tuple[Recorder, str]]:
    one = Recorder()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield one, f"{host}:{port}"
    server.close()


async def sent(session: aiohttp.ClientSession, one: Recorder, address: str, bodies: list[bytes]) -> bytes:
    """What the recorder reads of one request for each body."""
    one.read, one.parts = b"", 0
    async with session:
        for body in bodies:
            async with session.post(f"http://{address}/a?b=c", data=body, headers=OWN) as answer:
                assert answer.status == 204
    await asyncio.sleep(0.05)
    return one.read


@pytest.mark.parametrize("bodies", [[b"{}"], [b"x" * BODY_MAX] * 2, [b"x" * LARGE], [b"{}", b"x" * LARGE, b"{}"]])
async def test_the_same_bytes_as_aiohttps_own(recorder, bodies: list[bytes]) -> None:
    """Small bodies and large, on a new connection and on a kept one."""
    one, address = recorder
    ours = await sent(open_session({"Host": address} | HEADERS, ssl.create_default_context(), 9), one, address, bodies)
    assert ours == await sent(aiohttp.ClientSession(headers=HEADERS), one, address, bodies)


async def test_a_small_request_is_one_write(recorder) -> None:
    """Head and body come together."""
    one, address = recorder
    session = open_session({"Host": address} | HEADERS, ssl.create_default_context(), 9)
    assert (await sent(session, one, address, [b"{}"])).endswith(b"\r\n\r\n{}")
    assert one.parts == 1


async def test_nobody_listens() -> None:
    """A refused connection is a connector's error, by which a request counts as not sent."""
    async with open_session(HEADERS, ssl.create_default_context(), 9) as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.post("http://127.0.0.1:1/", data=b"{}")


OVERRIDDEN: list[tuple[type, type]] = [(_Connector, aiohttp.TCPConnector), (_Request, aiohttp.ClientRequest)]


@pytest.mark.parametrize(("ours", "theirs"), OVERRIDDEN)
def test_what_we_replace_is_there(ours: type, theirs: type) -> None:
    """Every method that we override exists, and is given what we take."""
    for name, method in vars(ours).items():
        if inspect.isfunction(method) and name not in ("__init__", "_wrap_create_connection"):
            parameters = inspect.signature(getattr(theirs, name)).parameters
            assert list(inspect.signature(method).parameters) == list(parameters), name


NEEDED: list[tuple[Callable[..., object], set[str]]] = [
    (aiohttp.TCPConnector._wrap_create_connection, {"args", "addr_infos", "req", "timeout", "client_error", "kwargs"}),
    (aiohttp.TCPConnector._wrap_existing_connection, {"args", "req", "timeout", "client_error", "kwargs"}),
    (StreamWriter.__init__, {"protocol", "loop", "on_chunk_sent", "on_headers_sent"}),
    (StreamWriter.write_headers, {"status_line", "headers"}),
    (StreamWriter.write_eof, {"chunk"}),
    (
        aiohttp.ClientResponse.__init__,
        {
            "method", "url", "writer", "continue100", "timer", "request_info", "traces", "loop", "session",
            "stream_writer",
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(("function", "parameters"), NEEDED, ids=lambda part: getattr(part, "__qualname__", ""))
def test_what_we_call_takes_what_we_give(function: Callable[..., object], parameters: set[str]) -> None:
    """A parameter more or less: read aiohttp's code again."""
    assert set(inspect.signature(function).parameters) - {"self"} == parameters


def test_a_direct_connection_is_bounded_too() -> None:
    """The loop is asked within the time for connecting, and its errors become connector's errors."""
    source = inspect.getsource(aiohttp.TCPConnector._wrap_existing_connection)
    assert "timeout.sock_connect" in source
    assert "raise client_error(" in source
