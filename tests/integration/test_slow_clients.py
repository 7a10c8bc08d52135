"""Clients that do not finish what they begin, on both paths: they hold little memory, and not for long."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.integration.deployment import Deployment
from tests.integration.processes import FAST_PATH, TOKEN, UVICORN_PATH, Webhook

pytestmark = pytest.mark.server

RESPONSE_TIMEOUT_S = 30.0
"""Only tells a response or a closed connection from a hang."""

PATHS = {"fast": FAST_PATH, "uvicorn": UVICORN_PATH}
LARGE = 15_000_000
BODIES_MAX = 8_000_000
MIB = 1_048_576
OTHERS_MAX = 32 * MIB
"""What the process may grow by besides the bodies: buffers of connections, and what malloc keeps."""

LINE = b"POST /webhooks/generic HTTP/1.1\r\nhost: x\r\n"
BEARER = b"authorization: Bearer " + TOKEN.encode() + b"\r\n"
UNSIGNED = b"POST /webhooks/meta HTTP/1.1\r\nhost: x\r\n"
SIGNED = UNSIGNED + b"x-hub-signature-256: sha256=00\r\n"
BODY = json.dumps({"conversation": "slow", "text": "oi"}).encode()
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"


def head(start: bytes, length: int) -> bytes:
    return start + b"content-length: %d\r\n\r\n" % length


def start(deployment: Deployment, path: str, **settings: object) -> Webhook:
    """Start a webhook whose clients must be quick."""
    quick: dict[str, Any] = {"webhook_head_timeout": 1, "webhook_body_timeout": 1}
    opened: dict[str, Any] = {"meta_app_secret": "s", "meta_verify_token": "v"}
    return deployment.webhook(options=PATHS[path], **{**quick, **opened, **settings})


@pytest.fixture(scope="module", params=PATHS)
def quick(request: pytest.FixtureRequest, shared_deployment: Deployment) -> Iterator[Webhook]:
    """A webhook on this path. It serves others at the end, and has logged no traceback."""
    webhook = start(shared_deployment, request.param)
    yield webhook
    assert webhook.say("after", "oi").status_code == 200
    assert "Traceback" not in webhook.log


@pytest.fixture(scope="module")
def fast(shared_deployment: Deployment) -> Webhook:
    """A webhook with the limits that only our protocol has."""
    return start(shared_deployment, "fast")


def connect(webhook: Webhook) -> socket.socket:
    return socket.create_connection(("127.0.0.1", webhook.port), RESPONSE_TIMEOUT_S)


def answer_to(webhook: Webhook, *pieces: bytes) -> bytes:
    """Send pieces and nothing more. Return all that comes until the connection is closed."""
    with closing(connect(webhook)) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def first_line(webhook: Webhook, *pieces: bytes) -> bytes:
    """Send pieces and nothing more. Return the first line that comes."""
    with closing(connect(webhook)) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return connection.makefile("rb").readline()


@pytest.mark.parametrize("length", [100, LARGE])
@pytest.mark.parametrize("unauthentic", [LINE, LINE + b"authorization: Bearer no\r\n", UNSIGNED])
def test_a_head_that_is_not_authentic_is_refused_alone(quick: Webhook, unauthentic: bytes, length: int) -> None:
    """A wrong or missing token, or a missing signature, gets 401 before the body is sent."""
    assert first_line(quick, head(unauthentic, length)).startswith(b"HTTP/1.1 401")
    assert first_line(quick, unauthentic + CHUNKED).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("begin", [LINE + BEARER, SIGNED])
@pytest.mark.parametrize("sent", [b"", b"{"])
def test_an_unfinished_body_is_given_up(quick: Webhook, begin: bytes, sent: bytes) -> None:
    """A body that does not go on gets 408, and its connection is closed."""
    for length in (100, LARGE):
        answer = answer_to(quick, head(begin, length), sent)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"WEBHOOK_BODY_TIMEOUT=1 s" in answer
    assert answer_to(quick, begin + CHUNKED, sent and b"1\r\n{\r\n").startswith(b"HTTP/1.1 408")


def test_a_keep_alive_connection_survives_a_refusal(quick: Webhook) -> None:
    """The rest of a refused body is dropped, and the next request of the connection is served."""
    with closing(connect(quick)) as connection:
        reader = connection.makefile("rb")
        connection.sendall(head(LINE, len(BODY)))
        assert reader.readline().startswith(b"HTTP/1.1 401")
        connection.sendall(BODY + head(LINE + BEARER, len(BODY)) + BODY)
        assert next(line for line in reader if b"HTTP/1.1 " in line).endswith(b"HTTP/1.1 200 OK\r\n")


def test_many_unfinished_bodies_hold_little_memory(start_deployment: Callable[..., Deployment]) -> None:
    """Thirty clients send nearly all of a large body: the bodies in hand stay below WEBHOOK_BODIES_MAX."""
    for path in PATHS:
        webhook = start(start_deployment(), path, webhook_bodies_max=BODIES_MAX, webhook_max_body=BODIES_MAX // 2)
        before = memory_of(webhook)
        length, statuses = BODIES_MAX // 2, []
        with ExitStack() as stack:
            connections = [stack.enter_context(closing(connect(webhook))) for _ in range(30)]
            for connection in connections:
                connection.sendall(head(SIGNED, length))
                connection.sendall(b"x" * (length - 1))
            grown = memory_of(webhook) - before
            statuses = [connection.makefile("rb").readline()[9:12] for connection in connections]
        assert set(statuses) <= {b"408", b"503"}
        assert b"503" in statuses
        assert grown < BODIES_MAX + OTHERS_MAX
        assert webhook.say("after", "x" * 1_000_000).status_code == 200


def test_a_full_budget_leaves_room_for_small_bodies(shared_deployment: Deployment) -> None:
    """Large bodies in hand make another large one wait (503, Retry-After), never a small one, and never hide a 401."""
    for path in PATHS:
        webhook = start(
            shared_deployment, path, webhook_bodies_max=800_000, webhook_max_body=400_000, webhook_body_timeout=300
        )
        with closing(connect(webhook)) as connection:
            connection.sendall(head(LINE + BEARER, 400_000))
            until_refused(webhook)
            assert webhook.say("small", "oi").status_code == 200
            chunk = b"%x\r\n" % 300_000 + b"x" * 300_000 + b"\r\n"
            assert first_line(webhook, LINE + BEARER + CHUNKED, chunk).startswith(b"HTTP/1.1 503")
            for start_of_head in (head(LINE, 300_000), LINE + CHUNKED):
                assert first_line(webhook, start_of_head, chunk).startswith(b"HTTP/1.1 401")
            connection.sendall(BODY.ljust(400_000))
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        assert webhook.say("large", "x" * 300_000).status_code == 200


def until_refused(webhook: Webhook) -> None:
    """Post a large body until it is refused: the other one is in hand then."""
    for _ in range(100):
        response = webhook.say("large", "x" * 300_000)
        if response.status_code == 503:
            assert response.headers["retry-after"] == "1"
            return
    raise AssertionError("never refused")


@pytest.mark.parametrize("sent", [b"", b"\r\n\r\n", LINE[:9], LINE, LINE + BEARER])
def test_an_unfinished_head_is_given_up(fast: Webhook, sent: bytes) -> None:
    """A connection on which no byte came is closed. One that stops within a head gets 408 before."""
    answer = answer_to(fast, sent)
    assert answer[:12] == (b"HTTP/1.1 408" if sent.strip() else b"")


def test_a_dripping_head_is_given_up(fast: Webhook) -> None:
    """Each byte comes in time, and the head does not."""
    with closing(connect(fast)) as connection:
        connection.sendall(LINE)
        connection.settimeout(0.05)
        received = b""
        for _ in range(600):
            connection.sendall(b"a")
            try:
                received = connection.recv(65_536)
                break
            except TimeoutError:
                continue
        assert received.startswith(b"HTTP/1.1 408")


def test_the_head_of_a_later_request_is_given_up(fast: Webhook) -> None:
    """After a response the next head has its own time, and it does not end the response before it."""
    answer = answer_to(fast, head(LINE + BEARER, len(BODY)) + BODY + LINE)
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"408"]


def test_a_giant_head_is_refused(fast: Webhook) -> None:
    """A head that goes on and on is refused while it comes."""
    with closing(connect(fast)) as connection:
        connection.sendall(LINE)
        with suppress(ConnectionError):  # the server may close before all is sent, and what it sent can still be read
            for _ in range(8):
                connection.sendall(b"x: " + b"y" * 50_000 + b"\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 431")


def test_connections_leave_descriptors_for_redis(shared_deployment: Deployment) -> None:
    """The soft limit of descriptors is raised to the hard one."""
    webhook = shared_deployment.webhook()
    limits = Path(f"/proc/{webhook.pids()[0]}/limits").read_text()
    soft, hard = next(line for line in limits.splitlines() if line.startswith("Max open files")).split()[3:5]
    assert soft == hard


def memory_of(webhook: Webhook) -> int:
    """Return the resident bytes of the process."""
    return int(Path(f"/proc/{webhook.pids()[0]}/statm").read_text().split()[1]) * 4096
