"""The fast path and uvicorn's own path: the same requests get the same responses."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, BinaryIO

import pytest

from buffer.keys import ref_of
from buffer.models import Conversation
from buffer.stored_message import ENTRY_HEADER_SIZE, TRACE
from tests.integration.deployment import Deployment
from tests.integration.polling import until
from tests.integration.processes import FAST_PATH, TOKEN, UVICORN_PATH
from tests.servers import Server

pytestmark = pytest.mark.server

RESPONSE_TIMEOUT_S = 20.0
BODY_MAX = 300_000
PATHS = {"fast": FAST_PATH, "uvicorn": UVICORN_PATH}
BEARER = f"authorization: Bearer {TOKEN}"
OI = {"conversation": "ana", "text": "oi", "message_id": "m1"}
PRESENCE = {
    "event": "presence.update",
    "instance": "loja",
    "data": {"id": "1@s.whatsapp.net", "presences": {"1@s.whatsapp.net": {"lastKnownPresence": "composing"}}},
}


def request(body: object = OI, *fields: str, path: str = "/webhooks/generic", method: str = "POST") -> bytes:
    """Build an HTTP request with a body. Without other header fields it is authentic."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "host: x", f"content-length: {len(content)}", *(fields or (BEARER,))]
    return "\r\n".join((*lines, "", "")).encode() + content


def responses(port: int, sent: Sequence[bytes], count: int) -> list[tuple[bytes, bytes]]:
    """Send pieces on one connection, and return status line and body of `count` responses."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=RESPONSE_TIMEOUT_S)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in sent:
            connection.sendall(piece)
        reader = connection.makefile("rb")
        return [_read_response(reader) for _ in range(count)]


def _read_response(reader: BinaryIO) -> tuple[bytes, bytes]:
    status = reader.readline()
    if status.startswith(b"HTTP/1.1 100"):
        reader.readline()
        return _read_response(reader)
    fields = iter(lambda: reader.readline().rstrip(), b"")
    headers = dict(line.lower().split(b": ", 1) for line in fields)
    return status, reader.read(int(headers.get(b"content-length", 0)))


CASES: dict[str, tuple[bytes, ...]] = {
    "message": (request(),),
    "duplicate": (request(), request()),
    "two in one packet": (request() + request([OI, {**OI, "message_id": "m2"}]),),
    "three in one packet": (request() * 3,),
    "webhook, then probe": (request(), request(b"", "x: y", path="/healthz", method="GET")),
    "webhook and probe in one packet": (request() + request(b"", "x: y", path="/healthz", method="GET"),),
    "head and body apart": (request()[:-20], request()[-20:]),
    "byte by byte": tuple(bytes([one]) for one in request()),
    "no token": (request(OI, "x: y"),),
    "wrong token": (request(OI, "authorization: Bearer no"),),
    "token in the address": (request(OI, "x: y", path=f"/webhooks/generic?a=b%20c&token={TOKEN}"),),
    "a long address": (request(OI, "x: y", path=f"/webhooks/generic?a={'x' * 2_000}&token={TOKEN}"),),
    "a tail": (request(path="/webhooks/generic/vendas"),),
    "an encoded tail": (request(path="/webhooks/generic/vendas%20um"),),
    "encoded gateway": (request(path="/webhooks/gen%65ric"),),
    "unknown gateway": (request(path="/webhooks/no"),),
    "closed gateway": (request(path="/webhooks/twilio"),),
    "other path": (request(path="/no"),),
    "wrong method": (request(method="PUT"),),
    "broken JSON": (request(b"{"),),
    "empty body": (request(b""),),
    "not for us": (request({"event": "x"}, f"apikey: {TOKEN}", path="/webhooks/evolution"),),
    "presence": (request(PRESENCE, f"apikey: {TOKEN}", path="/webhooks/evolution"),),
    "hundred messages": (request([{**OI, "message_id": str(number)} for number in range(100)]),),
    "larger than the fast path takes": (request({**OI, "text": "x" * 100_000}),),
    "larger than allowed": (request({**OI, "text": "x" * BODY_MAX}),),
    "in chunks": (
        request(b"", BEARER, "transfer-encoding: chunked").replace(b"content-length: 0\r\n", b"")
        + b"3a\r\n"
        + json.dumps(OI).encode().ljust(0x3A)
        + b"\r\n0\r\n\r\n",
    ),
    "expects a word first": (request(OI, BEARER, "expect: 100-continue"),),
    "last of its connection": (request(OI, BEARER, "connection: close"),),
    "old HTTP": (request().replace(b"HTTP/1.1", b"HTTP/1.0"),),
}
"""Bytes that are sent on one connection. Each request head in them gets one response."""


@pytest.fixture(scope="module")
def ports(shared_deployment: Deployment) -> dict[str, int]:
    """Start two webhooks, one for each path and each with its own buffer, and return their ports."""
    settings: dict[str, Any] = {
        "message_buffer_timeout": 300,
        "message_buffer_max_wait": 900,
        "webhook_max_body": BODY_MAX,
        "evolution_token": TOKEN,
    }
    return {
        name: shared_deployment.webhook(options=options, redis_key_prefix=f"paths-{name}", **settings).port
        for name, options in PATHS.items()
    }


@pytest.mark.parametrize("case", CASES)
def test_both_paths_respond_alike(ports: dict[str, int], case: str) -> None:
    """Status and body are the same, in the order of the requests."""
    sent = CASES[case]
    count = len(re.findall(rb" HTTP/1\.[01]\r\n", b"".join(sent)))
    fast, uvicorn = (responses(ports[name], sent, count) for name in PATHS)
    assert fast == uvicorn
    assert all(body for _, body in fast)


def test_both_paths_store_alike(ports: dict[str, int], shared_deployment: Deployment, peer: str) -> None:
    """A message that is sent twice is in either buffer once."""
    ref = ref_of(Conversation("generic", "default", peer), 1)
    for name, port in ports.items():
        responses(port, [request({**OI, "conversation": peer})] * 2, 2)
        assert shared_deployment.redis.llen(f"paths-{name}:{{p0}}:buffer:{ref.hash}") == 1


PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACES: dict[str, tuple[tuple[str, ...], str | None]] = {
    "none": ((), None),
    "valid": ((f"traceparent: {PARENT}", "tracestate: a=1,b=2"), f"{PARENT} a=1,b=2"),
    "names in capitals": ((f"TraceParent: {PARENT}", "TRACESTATE: a=1"), f"{PARENT} a=1"),
    "state in two lines": ((f"traceparent: {PARENT}", "tracestate: a=1", "tracestate: b=2"), f"{PARENT} a=1,b=2"),
    "parent in two lines": ((f"traceparent: {PARENT}",) * 2, None),
    "bad parent": (("traceparent: 00-no-no-01", "tracestate: a=1"), None),
    "bad state": ((f"traceparent: {PARENT}", "tracestate: a=\xe7"), PARENT),
    "long state": ((f"traceparent: {PARENT}", f"tracestate: {'x' * 30_000}"), PARENT),
}
"""Header fields of a request, and what is stored of them."""


@pytest.mark.parametrize("case", TRACES)
def test_both_paths_keep_the_same_trace(
    ports: dict[str, int], shared_deployment: Deployment, peer: str, case: str
) -> None:
    """The trace context of a request is stored with its message, whichever way it came."""
    fields, kept = TRACES[case]
    ref = ref_of(Conversation("generic", "default", peer), 1)
    for name, port in ports.items():
        ((status, _),) = responses(port, [request({**OI, "conversation": peer}, BEARER, *fields)], 1)
        (entry,) = shared_deployment.redis.lrange(f"paths-{name}:{{p0}}:buffer:{ref.hash}", 0, -1)
        assert (status, json.loads(entry[ENTRY_HEADER_SIZE:]).get(TRACE)) == (b"HTTP/1.1 200 OK\r\n", kept)


def test_an_idle_connection_is_closed(start_deployment: Callable[..., Deployment]) -> None:
    """The idle time of a connection begins with its last response."""
    port = start_deployment().webhook(options=(*FAST_PATH, "--timeout-keep-alive", "1")).port
    with closing(socket.create_connection(("127.0.0.1", port), timeout=RESPONSE_TIMEOUT_S)) as connection:
        for _ in range(3):
            connection.sendall(request())
            assert connection.recv(10_000).startswith(b"HTTP/1.1 200")
        assert connection.recv(1) == b""


def test_a_waiting_request_gets_its_response_before_the_process_ends(
    start_deployment: Callable[..., Deployment], start_server: Callable[..., Server]
) -> None:
    """SIGTERM while Redis is frozen: the waiting request gets 503, then the process ends."""
    server = start_server()
    webhook = start_deployment(server).webhook()
    server.freeze()
    with closing(socket.create_connection(("127.0.0.1", webhook.port), timeout=RESPONSE_TIMEOUT_S)) as connection:
        connection.sendall(request())
        webhook.terminate()
        until("it stops", lambda: "Shutting down" in webhook.log)
        assert connection.recv(10_000).startswith(b"HTTP/1.1 503")
        assert connection.recv(1) == b""
    server.thaw()
    webhook.wait()


def test_clients_that_disconnect_disturb_no_others(
    start_deployment: Callable[..., Deployment], start_server: Callable[..., Server]
) -> None:
    """Clients disconnect while Redis is frozen: their messages are stored afterwards, and other clients are served."""
    server = start_server()
    webhook = start_deployment(server).webhook()
    server.freeze()
    for _ in range(20):
        with closing(socket.create_connection(("127.0.0.1", webhook.port))) as connection:
            connection.sendall(request())
    server.thaw()
    until("it is stored", lambda: webhook.say("ana", "oi", message_id="m1").json()["duplicates"] == 1)
    assert "Traceback" not in webhook.log
