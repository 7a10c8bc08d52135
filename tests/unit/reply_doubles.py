"""Doubles for the tests of replies: a gateway of one route, a sender for it, and a store that keeps the marks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson

from buffer.keys import Ref
from buffer.models import Batch, Conversation, Outcome, Reason, StoredMessage
from buffer.reply_models import Began, Ending, PartMark, PartOutcome, SendLimits
from gateways.sending import (
    Again,
    InDoubt,
    Later,
    Misconfigured,
    Part,
    PartId,
    Rate,
    Refused,
    ReplyTo,
    Sender,
    SendRequest,
    SendResponse,
    SendResult,
    Sent,
    Target,
)

REF = Ref(0, "0123456789abcdef")
PEER = "5511900000011"
SECRET = "s3cret-of-the-gateway"
NO_PART = Part()
WHO = Conversation("evolution", "loja", PEER)


def batch(answer: bytes | None = None, attempt: int = 1) -> Batch:
    """A batch with one message."""
    stored = (StoredMessage(1, {"text": "oi", "message_id": "m1"}),)
    return Batch("t", "flush-1", attempt, 0, Reason.QUIET, WHO, None, 1, 1, 1, "\n", answer, stored)


class Gateway:
    """Takes one request after the other, and answers each as told; the last answer stays."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.quotes: list[str | None] = []
        self.paths: list[str] = []
        self.answers: deque[tuple[int, dict[str, Any]] | None] = deque()
        self.arrived = asyncio.Event()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, and close."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r")[0])
        fields = orjson.loads(await reader.readexactly(length))
        self.texts.append(fields["text"])
        self.quotes.append(fields["quote"])
        self.paths.append(head.split()[1].decode())
        self.arrived.set()
        answer = self.answers.popleft() if len(self.answers) > 1 else (self.answers or [(200, {"id": "G1"})])[0]
        if answer is None:
            await reader.read()
        else:
            body = orjson.dumps(answer[1])
            writer.write(
                b"HTTP/1.1 %d X\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % (answer[0], len(body)) + body
            )
        writer.close()


@asynccontextmanager
async def open_gateway() -> AsyncIterator[Gateway]:
    """A gateway on a port of its own."""
    one = Gateway()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield one
    server.close()


def request(path: str) -> Callable[..., SendRequest]:
    """A function that makes a request to a path of the gateway."""

    def make(target: Target, to: ReplyTo, part: Part = NO_PART, part_id: PartId | None = None) -> SendRequest:
        body = orjson.dumps({"text": part.text or part.url, "quote": to.last.get("message_id")})
        return SendRequest("POST", target.url + path, {"apikey": target.secret}, body, target.url + path)

    return make


def read(response: SendResponse, to: ReplyTo) -> SendResult:
    """Read a response of the gateway: each status stands for one result."""
    body = orjson.loads(response.body)
    reason = str(body.get("error", ""))
    again = Again(reason, to._replace(last={}), as_link=body.get("as_link", False))
    found: dict[int, SendResult] = {
        200: Sent(body.get("id")),
        429: Later(reason, body.get("after_s"), strikes=body.get("strikes", 0)),
        400: Refused(reason),
        401: Misconfigured(reason),
        500: InDoubt(reason, body.get("strikes", 0)),
        410: again,
    }
    return found[response.status]


SENDER = Sender(
    request("/send"),
    read,
    4096,
    Rate(1000),
    Rate(1500, 2),
    own_id=lambda part_id: f"own-{part_id}",
    typing=request("/typing"),
    typing_lasts_s=0.01,
    read_receipt=request("/read"),
    hand_over=request("/hand-over"),
)


OUTCOMES: dict[str, PartOutcome] = {
    "sent": "ok",
    "in_doubt": "ok",
    "later": "later",
    "limited": "later",
    "refused": "dead",
    "misconfigured": "held",
}
"""What the store answers if it is not told otherwise."""


class FakeStore:
    """Answers as told, and records every step of the parts and of the flush."""

    def __init__(self) -> None:
        self.steps: list[tuple[Any, ...]] = []
        self.endings: list[Ending] = []
        self.marks: dict[int, PartMark] = {}
        self.outcomes: dict[int, PartOutcome] = {}
        self.renewed = Outcome.OK

    async def begin_part(  # noqa: PLR0917
        self, ref: Ref, token: str, number: int, who: Conversation, own_id: str | None, limits: SendLimits
    ) -> Began:
        self.steps.append(("begin", number, own_id, limits))
        return Began(self.marks.get(number, "send"), None)

    async def end_part(self, ref: Ref, token: str, number: int, who: Conversation, ending: Ending) -> PartOutcome:
        self.steps.append(("end", number, ending.end))
        self.endings.append(ending)
        return self.outcomes.get(number, OUTCOMES[ending.end])

    async def renew(self, ref: Ref, token: str) -> Outcome:
        return self.renewed
