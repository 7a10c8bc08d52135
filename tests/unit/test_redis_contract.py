"""The parts of redis-py and hiredis that buffer/transport/connection.py depends on; a changed release fails here."""

from __future__ import annotations

import asyncio
import gc
import warnings

import hiredis

from buffer.transport.clients import connect, pool_of
from tests.servers import Server


async def test_connection_can_be_taken_over(valkey: Server):
    """An open connection keeps a StreamWriter in `_writer`; without it, it reads nothing and closes nothing."""
    client = connect(valkey.url, timeout_s=20)
    connection = pool_of(client).make_connection()
    await connection.connect()
    writer, connection._writer, connection._reader = connection._writer, None, None
    assert isinstance(writer, asyncio.StreamWriter)
    assert not connection.is_connected
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del connection
        gc.collect()
    assert not writer.transport.is_closing()
    writer.close()
    await writer.wait_closed()
    await client.aclose()


async def test_pool_tells_its_timeout(valkey: Server):
    """`connection_kwargs` holds what the client was made with."""
    client = connect(valkey.url, timeout_s=1.5)
    assert pool_of(client).connection_kwargs["socket_timeout"] == 1.5
    await client.aclose()


def test_parser_tells_pushes_from_replies():
    """hiredis gives what a server sends unasked a type of its own."""
    parser = hiredis.Reader()
    parser.feed(b">1\r\n+news\r\n*1\r\n+reply\r\n")
    assert isinstance(parser.gets(), hiredis.PushNotification)
    assert not isinstance(parser.gets(), hiredis.PushNotification)


def test_packing():
    """Text, bytes and numbers, as redis-py packs them."""
    assert hiredis.pack_command(("é", b"\0", 12)) == b"*3\r\n$2\r\n\xc3\xa9\r\n$1\r\n\0\r\n$2\r\n12\r\n"
