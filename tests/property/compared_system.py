"""The system beside its model: how both are given the same calls, and how their answers are compared."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import redis

from buffer.keys import fingerprint_of
from buffer.models import Append, Batch, Claim, Conversation
from buffer.windows import pack_window
from config.settings import Settings
from tests.property.model_state import ModelMessage
from tests.property.redis_system import System
from tests.property.reference_model import Model
from tests.property.walk_settings import PAYLOAD_SIZES, PEOPLE, SICK, START_MS

REMEMBERED_MAX = 8
OWN_WINDOW_MS = 3_000


class Flight(NamedTuple):
    """A worker that was given a batch; it may be long dead, or finished, and still talk."""

    who: str
    caller: str
    token: str


class Request(NamedTuple):
    """One webhook request: its nonce, its messages, and the settings of its route."""

    nonce: bytes
    messages: Sequence[tuple[str, Append]]
    route: Settings


class ComparedSystem:
    """Conversations, workers, a job queue, and time: what lies in Redis, and what the model says of it."""

    make_model: type[Model] = Model

    def __init__(self, system: System) -> None:
        self.system = system
        self.model = self.make_model(system.settings)
        self.requests: list[Request] = []
        self.jobs: list[str] = []
        self.flights: list[Flight] = []
        self.bodies: dict[str, object] = {}
        self.latest_ms: defaultdict[str, int] = defaultdict(int)
        self.saved: Any = None
        self.serial = 0
        self.names = {system.ref(who).hash: name for name, who in PEOPLE.items()}
        system.clear()
        system.now_ms = self.model.now_ms = START_MS
        self.picture = system.look()

    def _message(self, who: Conversation, shift_ms: int, keyword: bool) -> Append:
        self.serial += 1
        message_id = f"m{self.serial}"
        payload = json.dumps({"message_id": message_id}).ljust(PAYLOAD_SIZES[self.serial % 3]).encode()
        name = f"name {self.serial}" if self.serial % 4 == 0 else None
        order_ms = self.model.now_ms + shift_ms if shift_ms else None
        window = pack_window(OWN_WINDOW_MS, "auto_channel") if self.serial % 5 == 0 else b""
        return Append(who, fingerprint_of(message_id), b"", payload, order_ms, name, keyword, window=window)

    def _nonce(self) -> bytes:
        self.serial += 1
        return b"%04d" % (self.serial % 10_000)

    def _request(self, messages: Sequence[tuple[str, Append]], route: Settings | None = None) -> None:
        request = Request(self._nonce(), messages, route or self.system.settings)
        self.requests = [*self.requests[1 - REMEMBERED_MAX :], request]
        self._append(self.requests[-1])

    def _append(self, request: Request, sick_at: int | None = None) -> None:
        """Append the messages of a request, with one of a sick neighbour at the place `sick_at`."""
        messages = [message._replace(nonce=request.nonce) for _, message in request.messages]
        if sick_at is not None:
            messages.insert(sick_at, self._message(SICK, 0, False))
        try:
            found = self.system.append(messages, request.route)
        except redis.ResponseError as error:
            raise AssertionError(f"the script broke off: {error}") from error
        if sick_at is not None:
            assert found.pop(sick_at).status == "broken"
        now_ms = self.model.now_ms
        expected = []
        for (who, message), (_, said_id) in zip(request.messages, ids_of(request), strict=True):
            order_ms = message.order_ms or now_ms
            window_ms = OWN_WINDOW_MS if message.window else self.model.settings.window_ms
            said = ModelMessage(said_id, order_ms, now_ms, len(message.payload), message.keyword, window_ms)
            expected.append(self.model.append(who, said, request.nonce, message.name, request.route))
            self._touch(who)
        assert [tuple(appended) for appended in found] == expected

    def _claim(self, who: str, caller: str) -> None:
        self._compare_claim(who, caller, self.system.claim(PEOPLE[who], caller))

    def _compare_claim(self, who: str, caller: str, claim: Claim) -> None:
        status, expected = self.model.claim(who, caller)
        self._touch(who)
        assert claim.status == status
        if claim.batch is None:
            assert claim.until_ms == expected
            return
        expected.flush_id = expected.flush_id or claim.batch.flush_id
        self._compare(claim.batch, expected)
        assert claim.batch.memory == self.model.talks[who].memory, "the agent's memory"
        flight = Flight(who, caller, claim.batch.token)
        if flight not in self.flights:
            self.flights = [*self.flights[1 - REMEMBERED_MAX :], flight]

    def _compare(self, batch: Batch, expected: Any) -> None:
        ids = [stored.fields["message_id"] for stored in batch.messages]
        received = [stored.received_ms for stored in batch.messages]
        assert ids == [said.id for said in expected.messages]
        assert received == [said.received_ms for said in expected.messages]
        for name in ("token", "flush_id", "reason", "closed_ms", "name", "failures", "answer", "supersedes"):
            assert getattr(batch, name) == getattr(expected, name), name
        assert batch.attempt == expected.claims
        body = (ids, received, batch.closed_ms, batch.name, batch.separator, batch.conversation, batch.supersedes)
        assert not ids or self.bodies.setdefault(batch.flush_id, body) == body, "other bytes under the same id"

    def _flight(self, index: int) -> Flight | None:
        """The newest has index 0."""
        return self.flights[-1 - index % len(self.flights)] if self.flights else None

    def _touch(self, who: str, ahead_ms: int = 0) -> None:
        """Whatever is done now may have somebody look at the conversation again by this moment."""
        self.latest_ms[who] = max(self.latest_ms[who], self.model.now_ms + ahead_ms)


def ids_of(request: Request) -> list[tuple[str, str]]:
    return [(who, json.loads(message.payload)["message_id"]) for who, message in request.messages]
