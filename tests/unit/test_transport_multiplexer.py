"""multiplexer: one connection for all calls. If it is lost, each caller gets an error and the next call reconnects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import redis.exceptions as rx

from buffer import scripts
from buffer.errors import StoreError, StoreUnavailable
from buffer.models import Conversation
from buffer.scripts import Script
from buffer.transport.clients import connect, pool_of
from buffer.transport.multiplexer import Multiplexer
from tests.servers import Server

ANA = Conversation("generic", "loja", "ana")
REPLY_WAIT_S = 20.0


def script(source: str) -> Script:
    """A script of a test's own, which no server has loaded."""
    return Script("test", source, scripts.sha_of(source))


ECHO = script("return ARGV[1]")
WRITES = script("return redis.call('SET', KEYS[1], ARGV[1])")


@pytest.fixture
async def open_multiplexer() -> AsyncIterator[Callable[..., Multiplexer]]:
    """Open a multiplexer to a server; closed after the test."""
    opened: list[tuple[Multiplexer, Any]] = []

    def make(server: Server, timeout_s: float = REPLY_WAIT_S) -> Multiplexer:
        client = connect(server.url, timeout_s=timeout_s)
        multiplexer = Multiplexer(pool_of(client))
        opened.append((multiplexer, client))
        return multiplexer

    yield make
    for multiplexer, client in opened:
        await multiplexer.close()
        await client.aclose()


async def test_each_caller_gets_its_own_reply(valkey: Server, open_multiplexer):
    """A thousand calls in one loop iteration, some of which fail, on a connection that is not open yet."""
    multiplexer, bad = open_multiplexer(valkey), script("return redis.call('LPUSH', 'no')")
    calls = [multiplexer.call(bad if n % 7 == 3 else ECHO, "k", [str(n)]) for n in range(1000)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    for n, answer in enumerate(answers):
        assert isinstance(answer, StoreError) if n % 7 == 3 else answer == str(n).encode()


async def test_one_connection_for_all(start_server, open_multiplexer):
    """The multiplexer needs no more than one connection, however many calls are under way."""
    server = start_server()
    multiplexer = open_multiplexer(server)
    await asyncio.gather(*(multiplexer.call(ECHO, "k", [str(n)]) for n in range(100)))
    with server.client() as client:
        assert client.info("clients")["connected_clients"] == 2


async def test_large_and_binary_arguments(valkey: Server, open_multiplexer):
    """Bytes come back as they went, also in replies that arrive in many pieces."""
    multiplexer, large = open_multiplexer(valkey), bytes(range(256)) * 20_000
    calls = [multiplexer.call(ECHO, "k", [content]) for content in (large, b"\r\n")]
    assert await asyncio.gather(*calls) == [large, b"\r\n"]


async def test_scripts_that_were_flushed(valkey: Server, open_multiplexer):
    """A server that has lost the scripts gets them again; the callers notice nothing."""
    multiplexer = open_multiplexer(valkey)
    await multiplexer.call(ECHO, "k", ["1"])
    with valkey.client() as client:
        client.script_flush()
    assert await asyncio.gather(*(multiplexer.call(ECHO, "k", [str(n)]) for n in range(3))) == [b"0", b"1", b"2"]


async def test_server_crashes_and_comes_back(start_server, open_multiplexer):
    """Calls under way fail at once, and so do calls while the server is down; afterwards calls work again."""
    server = start_server()
    multiplexer = open_multiplexer(server)
    await multiplexer.call(ECHO, "k", ["1"])
    server.freeze()
    calls = [asyncio.ensure_future(multiplexer.call(ECHO, "k", [str(n)])) for n in range(5)]
    await asyncio.sleep(0)
    server.kill()
    async with asyncio.timeout(REPLY_WAIT_S / 2):
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 5
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await multiplexer.call(ECHO, "k", ["1"])
    server.restart()
    assert await multiplexer.call(ECHO, "k", ["2"]) == b"2"


async def test_server_closes_the_connection(valkey: Server, open_multiplexer):
    """A connection that was closed without a call under way is opened again for the next call."""
    multiplexer = open_multiplexer(valkey)
    await multiplexer.call(ECHO, "k", ["1"])
    with valkey.client() as client:
        others = [other["id"] for other in client.client_list() if other["cmd"].startswith("eval")]
        assert [client.client_kill_filter(_id=other) for other in others] == [1]
    assert await asyncio.wait_for(again(lambda: multiplexer.call(ECHO, "k", ["2"])), REPLY_WAIT_S) == b"2"


async def again(call: Callable[[], Any]) -> Any:
    """Repeat a call until the multiplexer has noticed that its connection is gone."""
    while True:
        try:
            return await call()
        except StoreUnavailable:
            await asyncio.sleep(0.01)


async def test_silent_server(start_server, open_multiplexer):
    """Every call fails after the client's timeout, the last one included; the multiplexer recovers."""
    server = start_server()
    multiplexer = open_multiplexer(server, timeout_s=0.2)
    await multiplexer.call(ECHO, "k", ["1"])
    server.freeze()
    answers = await asyncio.gather(*(multiplexer.call(ECHO, "k", [str(n)]) for n in range(5)), return_exceptions=True)
    assert {str(answer) for answer in answers} == {"Redis cannot be reached: no answer within 0.2 s"}
    server.thaw()
    assert await again(lambda: multiplexer.call(ECHO, "k", ["2"])) == b"2"


async def test_cancelled_callers(valkey: Server, open_multiplexer):
    """A cancelled caller gets nothing, and the replies of the others do not move up."""
    multiplexer = open_multiplexer(valkey)
    await multiplexer.call(ECHO, "k", ["0"])
    calls = [asyncio.ensure_future(multiplexer.call(ECHO, "k", [str(n)])) for n in range(10)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(answer, asyncio.CancelledError) for answer in answers] == [True, False] * 5
    assert answers[1::2] == [b"1", b"3", b"5", b"7", b"9"]


@pytest.mark.parametrize("opened", [True, False])
async def test_closed_with_calls_under_way(valkey: Server, open_multiplexer, opened: bool):
    """Closing fails every call under way."""
    multiplexer = open_multiplexer(valkey)
    if opened:
        await multiplexer.call(ECHO, "k", ["0"])
    calls = [asyncio.ensure_future(multiplexer.call(ECHO, "k", [str(n)])) for n in range(5)]
    await asyncio.sleep(0)
    await multiplexer.close()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert {str(answer) for answer in answers} == {"Redis cannot be reached: the client was closed"}


async def test_demoted_server_is_left(start_server, open_multiplexer, prefix: str):
    """A server that became a replica is unavailable, and the next call opens a new connection, to its successor."""
    server, other = start_server(), start_server()
    multiplexer = open_multiplexer(server)
    await multiplexer.call(WRITES, prefix, ["1"])
    with server.client() as client:
        client.replicaof("127.0.0.1", other.port)
        mine = {one["id"] for one in client.client_list() if one["cmd"].startswith("eval")}
        with pytest.raises(StoreUnavailable, match="not ready"):
            await multiplexer.call(WRITES, prefix, ["2"])
        client.replicaof("NO", "ONE")
        await multiplexer.call(WRITES, prefix, ["3"])
        now = {one["id"] for one in client.client_list() if one["cmd"].startswith("eval")}
    assert [len(mine), len(now), len(mine & now)] == [1, 1, 0]


@pytest.mark.parametrize("code", ["LOADING Redis is loading the dataset", "MASTERDOWN Link with MASTER is down"])
async def test_a_server_that_is_not_ready_is_left(code: str, make_settings):
    """A server that is loading or cut off is left: its name may lead to another server by now."""
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(len(connections))
        while line := await reader.readline():
            if line.strip().upper() in (b"EVALSHA", b"HELLO", b"CLIENT"):
                is_call = line.strip().upper() == b"EVALSHA"
                first = b"-" + code.encode() if connections[-1] == 0 else b"+ok"
                writer.write((first if is_call else b"+OK") + b"\r\n")

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = connect(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}?protocol=2", timeout_s=REPLY_WAIT_S)
    multiplexer = Multiplexer(pool_of(client))
    with pytest.raises(StoreUnavailable, match="not ready"):
        await multiplexer.call(ECHO, "k", [])
    assert await multiplexer.call(ECHO, "k", []) == b"ok"
    assert connections == [0, 1]
    await multiplexer.close()
    await client.aclose()
    server.close()


async def test_what_cannot_be_packed(valkey: Server, open_multiplexer):
    """An argument that cannot be packed is a StoreError, and the connection stays open."""
    multiplexer = open_multiplexer(valkey)
    with pytest.raises(StoreError, match="surrogates"):
        await multiplexer.call(ECHO, "k", ["\ud800"])
    assert await multiplexer.call(ECHO, "k", ["1"]) == b"1"


async def test_pushes_are_no_replies(valkey: Server, open_multiplexer):
    """A push message of the server (RESP3) is not taken for a reply."""
    multiplexer, push = open_multiplexer(valkey), b">2\r\n+message\r\n+hello\r\n"
    await multiplexer.call(ECHO, "k", ["0"])
    assert multiplexer._connection is not None
    call = asyncio.ensure_future(multiplexer.call(ECHO, "k", ["1"]))
    await asyncio.sleep(0)
    multiplexer._connection.data_received(push)
    assert await call == b"1"


async def test_sending_at_once(valkey: Server, open_multiplexer):
    """A call is sent at once only on an open connection; the receiver gets the reply or the server's own error."""
    multiplexer, replies = open_multiplexer(valkey), [asyncio.get_running_loop().create_future() for _ in range(2)]
    assert not multiplexer.send(ECHO, "k", ["0"], replies[0])
    await multiplexer.call(ECHO, "k", ["0"])
    assert multiplexer.send(ECHO, "k", ["1"], replies[0])
    assert multiplexer.send(script("return 'not known'"), "k", [], replies[1])
    assert await replies[0] == b"1"
    with pytest.raises(rx.ResponseError, match="NOSCRIPT"):
        await replies[1]
