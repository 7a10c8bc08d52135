"""Malformed and ambiguous requests to `debouncer serve` and to uvicorn: what is hidden in one is not stored."""

from __future__ import annotations

import contextlib
import re
import secrets
import socket
from collections.abc import Iterator

import pytest

from tests.integration.deployment import Deployment
from tests.integration.malformed_requests import COUNTS, HONEST, MALFORMED, SMUGGLED, VALID
from tests.integration.processes import SERVE, UVICORN_PATH, Webhook

ANSWER_WITHIN_S = 20.0
PATHS = {"serve": SERVE, "uvicorn": UVICORN_PATH}


@pytest.fixture(scope="module", params=PATHS)
def webhook(request: pytest.FixtureRequest, shared_deployment: Deployment) -> Iterator[Webhook]:
    """A webhook on this path. Its process must not have been replaced at the end."""
    prefix = f"malformed-{request.param}"
    webhook = shared_deployment.webhook(options=PATHS[request.param], redis_key_prefix=prefix)
    yield webhook
    assert len(webhook.pids()) == 1


STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


def answers_to(webhook: Webhook, sent: bytes, count: int | None = None) -> list[int]:
    """The statuses of what comes back on one connection until it is closed, or until there are `count` answers.

    Without a count nothing more is sent behind the bytes, so that nobody waits for the rest of a request.
    """
    received = b""
    address = ("127.0.0.1", webhook.port)
    with contextlib.suppress(ConnectionError), socket.create_connection(address, ANSWER_WITHIN_S) as connection:
        connection.sendall(sent)
        if count is None:
            with contextlib.suppress(OSError):  # the server may have closed already, and then this end is not connected
                connection.shutdown(socket.SHUT_WR)
        while len(STATUS.findall(received)) != count and (piece := connection.recv(65_536)):
            received += piece
    return [int(status) for status in STATUS.findall(received)]


class People:
    """The two people of one case, under names of their own."""

    def __init__(self, deployment: Deployment) -> None:
        self._redis = deployment.redis
        self._names = {name: secrets.token_urlsafe(len(name))[: len(name)] for name in (HONEST, SMUGGLED)}

    def named(self, sent: bytes) -> bytes:
        """The bytes with the names of this case, as long as before."""
        for name, own in self._names.items():
            sent = sent.replace(name.encode(), own.encode())
        return sent

    def stored(self) -> set[str]:
        """Whose messages are in the buffer."""
        keys = self._redis.scan_iter("malformed-*:buffer:*")
        content = b"".join(piece for key in keys for piece in self._redis.lrange(key, 0, -1))
        return {name for name, own in self._names.items() if own.encode() in content}


@pytest.fixture
def people(shared_deployment: Deployment) -> People:
    """The people of one case."""
    return People(shared_deployment)


@pytest.mark.parametrize("case", MALFORMED)
def test_nothing_is_smuggled_in(webhook: Webhook, people: People, case: str) -> None:
    """The answer is 4xx or a closed connection, nothing is stored, and the next connection is served."""
    statuses = answers_to(webhook, people.named(MALFORMED[case]))
    assert [status for status in statuses if not 400 <= status < 500] == []
    assert people.stored() == set()
    assert webhook.say("after", "oi").status_code == 200


@pytest.mark.parametrize("case", VALID)
def test_what_is_only_odd_is_one_request(webhook: Webhook, people: People, case: str) -> None:
    """It is taken or refused as a whole, and nothing within it is a request of its own."""
    statuses = answers_to(webhook, people.named(VALID[case]), count=COUNTS.get(case, 1))
    assert statuses
    assert {status // 100 for status in statuses} <= {2, 4}
    assert people.stored() == ({HONEST} if 200 in statuses else set())
    assert webhook.say("after", "oi").status_code == 200
