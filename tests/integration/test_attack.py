"""Hostile requests to a running service: no 5xx, no hang, no text or phone in its log, no secret in its store."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from gateways.registry import GATEWAYS
from tests.fuzzed_bodies import PLANTED, mutated_form, mutated_json
from tests.integration.deployment import Deployment
from tests.integration.processes import Webhook
from tests.recorded_bodies import CASES, FORMS, described, expected_of
from tests.servers import Server
from tests.signing import OPEN, SECRET, sign

pytestmark = pytest.mark.server

ANSWER_WITHIN_S = 20.0
"""Only tells an answer from a hang."""

MAX_BODY = 300_000
LOGS = {"DEBUG": "json", "INFO": "console"}
ATTACK = settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def private_texts(gateway: str) -> set[str]:
    """Return the texts, and the phone numbers of ten and more digits, in the recorded bodies."""
    told = {SECRET, PLANTED, "a text of some length", "5511900000001"}
    for name, case in CASES:
        expected = expected_of(name, case) if name == gateway else []
        for each in expected if isinstance(expected, list) else []:
            told |= {each["text"]} if len(each.get("text") or "") > 8 else set()
            told |= set(re.findall(r"\d{10,}", f"{each['conversation']} {each['channel']} {each.get('participant')}"))
    return told | {
        str(described(*case).get("auth", {}).get("secret") or PLANTED) for case in CASES if case[0] == gateway
    }


def stored(server: Server) -> bytes:
    """Everything in Redis; sets are RQ's, and other tests' keys on this server may go meanwhile."""
    readers: dict[bytes, Callable[[Any, bytes], Any]] = {
        b"hash": lambda client, key: client.hgetall(key),
        b"list": lambda client, key: client.lrange(key, 0, -1),
        b"zset": lambda client, key: client.zrange(key, 0, -1),
        b"string": lambda client, key: client.get(key),
    }
    with server.client() as client:
        keys = [(key, readers.get(client.type(key))) for key in client.scan_iter("*")]
        return b"".join(key + repr(read(client, key)).encode() for key, read in keys if read is not None)


class Target:
    """A running service, and a way to post to it."""

    def __init__(self, webhook: Webhook) -> None:
        self.webhook = webhook
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{webhook.port}", timeout=ANSWER_WITHIN_S)

    def post(self, gateway: str, body: bytes, tail: str = "", **headers: str) -> httpx.Response:
        """Post a body with the right credentials."""
        signed = sign(gateway, f"/webhooks/{gateway}{tail}", body)
        return self.client.post(signed.path, content=body, headers=signed.headers | headers)

    def send_raw(self, *parts: bytes) -> bytes:
        """Send raw bytes on a connection of their own. Return all bytes that arrive until it is closed."""
        with socket.create_connection(("127.0.0.1", self.webhook.port), ANSWER_WITHIN_S) as line:
            for part in parts:
                line.sendall(part)
            return b"".join(iter(lambda: line.recv(65_536), b""))


@contextmanager
def attacked(webhook: Webhook) -> Iterator[Target]:
    """Yield a target. Assert at the end that its service is ready, has its one process, and logged no traceback."""
    target = Target(webhook)
    yield target
    assert target.client.get("/readyz").status_code == 200
    assert len(webhook.pids()) == 1
    assert "Traceback" not in webhook.log
    target.client.close()


@pytest.fixture(scope="module", params=LOGS)
def loud(request: pytest.FixtureRequest, littered_deployment: Deployment) -> Webhook:
    """Return a service with a log level and format."""
    return littered_deployment.webhook(1, ready=True, log_level=request.param, log_format=LOGS[request.param], **OPEN)


@pytest.fixture(scope="module")
def service(littered_deployment: Deployment) -> Iterator[Target]:
    """A service with a small limit for bodies."""
    with attacked(littered_deployment.webhook(1, ready=True, webhook_max_body=MAX_BODY, **OPEN)) as target:
        yield target


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_no_mutated_body_reaches_the_log(loud: Webhook, littered_deployment: Deployment, gateway: str) -> None:
    """Mutated bodies get 200 or 400. Their texts and phones are not in the log, and no secret is in the store."""
    statuses: set[int] = set()
    with attacked(loud) as target:

        @ATTACK
        @given((mutated_form if gateway in FORMS else mutated_json)(gateway))
        def attack(body: bytes) -> None:
            answer = target.post(gateway, body, "/a-channel")
            statuses.add(answer.status_code)
            assert answer.status_code in (200, 400), answer.text

        attack()
    assert 200 in statuses
    assert [each for each in private_texts(gateway) if each in loud.log] == []
    assert PLANTED.encode() not in stored(littered_deployment.server)
    assert SECRET.encode() not in stored(littered_deployment.server)


BOMBS = {
    "lists": b"[" * 100_000,
    "objects": b'{"a":' * 50_000,
    "closed": b"[" * 50_000 + b"]" * 50_000,
    "escaped": b'["\\ud800",' * 20_000 + b"1" + b"]" * 20_000,
    "digits": b"9" * 200_000,
    "escaped digits": b'["\\ud800", ' + b"9" * 200_000 + b"]",
    "null bytes": b"\0" * 100_000,
    "utf-16": '{"conversation": "x"}'.encode("utf-16"),
    "fields": b"&".join(b"a%d=%d" % (number, number) for number in range(20_000)),
    "nothing": b"",
}


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_deep_and_huge_bodies_get_a_reply(service: Target, gateway: str) -> None:
    """Bodies that are all depth, digits or fields are answered; a form takes most of them for an empty one."""
    for name, bomb in BOMBS.items():
        assert service.post(gateway, bomb).status_code in (200, 400), name


def test_a_batch_of_any_size_is_stored_once(service: Target) -> None:
    """More messages than go to Redis in one lot: all are taken, and known when they come again."""
    messages = [{"from": f"1{each:09}", "id": str(each), "type": "text", "text": {"body": "x"}} for each in range(2500)]
    value = {"metadata": {"phone_number_id": "of-many"}, "messages": messages}
    change = {"field": "messages", "value": value}
    body = json.dumps({"object": "whatsapp_business_account", "entry": [{"changes": [change]}]}).encode()
    answers = [service.post("meta", body).json() for _ in range(2)]
    assert [answer["accepted"] for answer in answers] == [2500, 0]
    assert answers[1]["duplicates"] == 2500


def test_reactions_are_compared_quickly(service: Target) -> None:
    """Deep and many reactions get a reply in time, although Telegram's are compared with each other."""
    deep = b'{"a":' * 1015 + b"1" + b"}" * 1015
    many = b",".join(b'{"type":"emoji","emoji":"%d"}' % number for number in range(4000))
    for reactions in (deep, many):
        told = b'"old_reaction":[%s],"new_reaction":[%s]' % (reactions, reactions)
        body = b'{"message_reaction":{"chat":{"id":1},"message_id":1,%s}}' % told
        assert service.post("telegram", body).status_code == 200


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/xml", "multipart/form-data", "a/b; charset=\xff"]
)
def test_the_content_type_does_not_matter(service: Target, content_type: str) -> None:
    """A gateway that names its JSON otherwise is understood all the same."""
    body = b'{"conversation": "of-any-type", "text": "oi"}'
    raw = b"Content-Type: " + content_type.encode("latin-1")
    assert spoken(service, body, raw).startswith(b"HTTP/1.1 200")


def test_a_packed_body_is_refused(service: Target) -> None:
    """A compressed body is not unpacked, so that nothing small becomes large: it is no JSON."""
    body = gzip.compress(b'{"conversation": "x", "text": "oi"}')
    answer = service.post("generic", body, **{"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")


def spoken(service: Target, body: bytes, *headers: bytes, path: bytes = b"/webhooks/generic") -> bytes:
    """Post a body with raw headers."""
    bearer = [] if any(b"uthorization" in each for each in headers) else [b"Authorization: Bearer " + SECRET.encode()]
    lines = [b"POST " + path + b" HTTP/1.1", b"Host: x", b"Connection: close", *bearer, *headers]
    return service.send_raw(b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body]))


BODY = b'{"conversation": "of-raw-bytes", "text": "oi"}'
ODD = {
    "authorization twice, the last one right": (
        200,
        [b"Authorization: Bearer x", b"Authorization: " + SECRET.encode()],
    ),
    "authorization twice, the last one wrong": (
        401,
        [b"Authorization: " + SECRET.encode(), b"Authorization: Bearer x"],
    ),
    "authorization of other bytes": (401, [b"Authorization: Bearer \xff\xfe\xc3"]),
    "authorization without a token": (401, [b"Authorization: Bearer"]),
    "many headers": (200, [b"X-%d: \xe9" % number for number in range(500)]),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_headers(service: Target, name: str) -> None:
    """Repeated and non-ASCII headers lead to an answer, not to an error."""
    status, headers = ODD[name]
    assert spoken(service, BODY, *headers).startswith(b"HTTP/1.1 %d" % status)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (b"/webhooks/generic?token=x&token=" + SECRET.encode(), 200),
        (b"/webhooks/generic?token=" + SECRET.encode() + b"&token=x", 401),
        (b"/webhooks/generic?token=%ff%fe&token", 401),
        (b"/webhooks/generic?" + b"&" * 20_000, 401),
    ],
)
def test_odd_queries(service: Target, path: bytes, status: int) -> None:
    """Of a repeated token the last one counts."""
    assert spoken(service, BODY, b"authorization: x", path=path).startswith(b"HTTP/1.1 %d" % status)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (b"/webhooks/generic/" + b"a" * 30_000, 200),
        (b"/webhooks/generic/a%00b", 200),
        (b"/webhooks/generic/%ff%ed%a0%80", 200),
        (b"/webhooks/generic/..%2f..//./", 200),
        (b"/webhooks/%00", 404),
        (b"/webhooks/" + b"b" * 30_000, 404),
        (b"/webhooks/generic%2f", 200),
    ],
)
def test_odd_paths(service: Target, path: bytes, status: int) -> None:
    """Any tail is a name for a channel."""
    answer = spoken(service, BODY, path=path)
    assert answer.startswith(b"HTTP/1.1 %d" % status)
    assert len(answer) < 1000


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_secret_beyond_ascii(littered_deployment: Deployment, encoding: str) -> None:
    """A token with an accent is known however the client writes it into a header."""
    with attacked(littered_deployment.webhook(1, generic_token="sésamo-ção")) as target:
        token = b"Authorization: Bearer "
        assert spoken(target, BODY, token + "sésamo-ção".encode(encoding)).startswith(b"HTTP/1.1 200")
        assert spoken(target, BODY, token + "sésamo-çao".encode(encoding)).startswith(b"HTTP/1.1 401")


HEAD = b"POST /webhooks/generic HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + SECRET.encode() + b"\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def test_a_body_without_an_end_is_cut_off(service: Target) -> None:
    """Chunks beyond the limit are answered 413 while more of them would still come."""
    chunk = b"%x\r\n" % 60_000 + b"x" * 60_000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", service.webhook.port), ANSWER_WITHIN_S) as line:
        with contextlib.suppress(ConnectionError):  # the server may close before all is sent
            line.sendall(CHUNKED + chunk * 6)
        assert line.recv(65_536).startswith(b"HTTP/1.1 413")


def test_a_body_that_is_announced_too_large_is_not_awaited(service: Target) -> None:
    """413 is the answer to the length alone."""
    for length in (b"300001", b"9" * 18):
        with socket.create_connection(("127.0.0.1", service.webhook.port), ANSWER_WITHIN_S) as line:
            line.sendall(HEAD + b"Content-Length: " + length + b"\r\n\r\n")
            assert line.recv(65_536).startswith(b"HTTP/1.1 413")


def test_a_client_that_leaves_in_the_middle(service: Target, littered_deployment: Deployment) -> None:
    """Half a body and then nothing: it is forgotten without an error, and nothing of it is stored."""
    half = b'{"conversation": "left-in-the-middle", "text": "oi'
    for start in (HEAD + b"Content-Length: 900\r\n\r\n" + half, CHUNKED + b"%x\r\n" % len(half) + half):
        with socket.create_connection(("127.0.0.1", service.webhook.port), ANSWER_WITHIN_S) as line:
            line.sendall(start)
    assert service.post("generic", BODY).status_code == 200
    assert b"left-in-the-middle" not in stored(littered_deployment.server)


def test_a_slow_client_does_not_delay_others(service: Target) -> None:
    """While one body drips in, others are answered; in the end it is taken too."""
    with socket.create_connection(("127.0.0.1", service.webhook.port), ANSWER_WITHIN_S) as line:
        line.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY))
        for byte in BODY:
            line.sendall(bytes([byte]))
            assert service.post("generic", BODY).status_code == 200
        assert line.recv(65_536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "start", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", HEAD + b"Content-Length: -1\r\n\r\n", b"\0" * 99]
)
def test_bytes_that_are_not_http_are_refused(service: Target, start: bytes) -> None:
    """Another protocol is refused by the server, and does not disturb it."""
    with socket.create_connection(("127.0.0.1", service.webhook.port), ANSWER_WITHIN_S) as line:
        line.sendall(start)
        line.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: line.recv(65_536), b""))
    assert not answer or answer.startswith(b"HTTP/1.1 400")
