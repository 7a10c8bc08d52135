"""Bounds of what a malformed request may cost, and headers that must not count.

An endless head and a header in a trailer reach the application only after plain uvicorn has read them: our own protocol
alone can refuse them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.deployment import Deployment
from tests.integration.malformed_requests import (
    AUTH,
    BAD,
    CHUNKED,
    END,
    HOST,
    LINE,
    ONE,
    chunk,
    length,
    post,
)
from tests.integration.polling import until
from tests.integration.processes import Webhook
from tests.integration.test_malformed_http import People, answers_to, people, webhook  # noqa: F401

HEAD_MAX_KB = 32 * 1024
"""What one head may cost at its peak, while sixty megabytes of it are sent."""

ENDLESS = {
    "one header": (LINE + HOST + b"X-A: ", b"a" * 65_536),
    "many headers": (LINE + HOST, b"X-A: b\r\n" * 8_000),
    "many trailers": (LINE + HOST + AUTH + CHUNKED + b"\r\n0\r\n", b"X-A: b\r\n" * 8_000),
}


@pytest.fixture(scope="module")
def fast(shared_deployment: Deployment) -> Webhook:
    """A webhook with the limits that only our protocol has."""
    return shared_deployment.webhook(redis_key_prefix="limits-fast")


def peak_kb(pid: int) -> int:
    """The most memory that a process has held."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


@pytest.mark.parametrize("case", ENDLESS)
def test_a_head_without_an_end_has_a_bound(fast: Webhook, case: str) -> None:
    """A head is refused before it is large, so that nobody unknown can fill the memory."""
    start, piece = ENDLESS[case]
    pid = fast.pids()[-1]
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    before_kb = peak_kb(pid)
    statuses = answers_to(fast, start + piece * 1000)
    assert [status for status in statuses if not 400 <= status < 500] == []
    assert peak_kb(pid) - before_kb < HEAD_MAX_KB
    assert fast.say("after", "oi").status_code == 200


TOKEN_IN_TRAILER = post(chunk(BAD) + b"0\r\n" + AUTH + b"\r\n", CHUNKED, auth=b"")
REFUSED = {
    "no host": post(BAD, length(BAD), host=b""),
    "two hosts": post(BAD, length(BAD), host=HOST * 2),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused(webhook: Webhook, people: People, case: str) -> None:  # noqa: F811
    """HTTP/1.1 names its host once (RFC 9112, 3.2)."""
    assert answers_to(webhook, people.named(REFUSED[case]), count=1) == [400]
    assert people.stored() == set()


def test_a_trailer_is_no_header(fast: Webhook, people: People) -> None:  # noqa: F811
    """A token counts only in the head."""
    assert answers_to(fast, people.named(TOKEN_IN_TRAILER), count=1) == [401]
    assert people.stored() == set()


def test_a_long_body_is_no_long_head(fast: Webhook) -> None:
    """A body in many packets and chunks, with an extension and a trailer, is taken."""
    body = ONE[:-1] + b" " * 500_000 + b"}"
    pieces = b"".join(chunk(body[start : start + 1000], b";a=b") for start in range(0, len(body), 1000))
    assert answers_to(fast, post(pieces + b"0\r\nX-A: b\r\n\r\n", CHUNKED), count=1) == [200]


@pytest.mark.parametrize(
    "sent",
    [post(ONE, length(ONE)) * 3, post(chunk(ONE) + END, CHUNKED), post(ONE, b"Connection: close\r\n", length(ONE))],
    ids=["pipelined", "chunks", "last"],
)
def test_who_leaves_before_the_answer_leaves_no_traceback(webhook: Webhook, sent: bytes) -> None:  # noqa: F811
    """A client that sends its request and closes its side is no error of the application."""
    before = webhook.log.count("Traceback")
    for _ in range(5):
        answers_to(webhook, sent)
    until("the webhook serves", lambda: webhook.say("after", "oi").status_code == 200)
    assert webhook.log.count("Traceback") == before
