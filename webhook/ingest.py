"""What becomes of a webhook: verify, parse, append, and 2xx only then. It is the hot path; HTTP is left to others."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from buffer.errors import ConversationBroken, StoreError, StoreUnavailable
from buffer.keys import fingerprint_of
from buffer.models import (
    Append,
    Appended,
    AppendStatus,
    Edit,
    EditResult,
    Event,
    Message,
    Presence,
    Revoke,
    RevokeResult,
)
from buffer.store import Store
from buffer.stored_message import encode_edit, encode_message
from config.killpoints import kill_point
from config.logs import get_logger, mask
from config.settings import Settings
from gateways.base import BadRequest, Gateway, Request
from gateways.registry import GATEWAYS
from webhook.append_coalescer import ANSWER_WITHIN_S, AppendCoalescer, ResultsReceiver
from webhook.responses import Counts, HTTPError, Response, counts_response, response_of

TYPING = ("composing", "recording")
CHANGED: tuple[EditResult | RevokeResult, ...] = ("changed", "removed", "early")
LATE = "Redis did not answer in time"
MESSAGES_PER_STEP = 1000
COMPLAIN_EVERY_S = 5.0
NONCE_BITS = 32
RESULT_TEXT: dict[AppendStatus, str] = {
    "duplicate": "duplicada, ignorada",
    "discarded": "descartada: atendimento humano",
    "revoked": "apagada pelo autor",
    "stale": "antiga demais, ignorada",
    "broken": "recusada: conversa danificada no Redis",
}
log = get_logger()


class _Sink(NamedTuple):
    """The way into the buffer, once it is open."""

    store: Store
    collector: AppendCoalescer


class Ingest:
    """Takes the requests of every gateway, once the store was found fit."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._checks = not settings.webhook_allow_unsigned
        self._keywords = settings.message_buffer_flush_keywords
        self._inline_max = settings.media_inline_max
        self._open = {name for name, gateway in GATEWAYS.items() if not self._checks or gateway.is_open(settings)}
        self._tells = settings.log_level in ("DEBUG", "INFO")
        self._sink: _Sink | None = None
        self._refused = 0
        self._complained_at = -COMPLAIN_EVERY_S
        self.body_max = settings.webhook_max_body
        self._nonces = _nonces()
        self.why_not = "the service is starting; try again"

    def open(self, store: Store) -> None:
        """Begin to accept messages into this store."""
        self._sink = _Sink(store, AppendCoalescer(store))

    def route(self, path: str, method: str) -> tuple[Gateway, str]:
        """The gateway of a path and what follows it there; raises Refused."""
        name, _, tail = path.removeprefix("/webhooks/").partition("/")
        gateway = GATEWAYS.get(name)
        if gateway is None:
            raise HTTPError(404, "unknown_gateway", f"{name!r:.60} is not a gateway; known: {', '.join(GATEWAYS)}")
        if name not in self._open:
            raise HTTPError(404, "gateway_closed", f"no secret of the gateway {name} is configured, so it is closed")
        if method != "POST" and (method != "GET" or gateway.verification is None):
            allowed = b"GET, POST" if gateway.verification else b"POST"
            raise HTTPError(405, "method_not_allowed", "a webhook is a POST", [(b"allow", allowed)])
        return gateway, tail

    def check_size(self, size: int) -> None:
        """Raises Refused for a body of more bytes than are allowed."""
        if size > self.body_max:
            raise HTTPError(413, "too_large", f"the body is larger than WEBHOOK_MAX_BODY={self.body_max} bytes")

    def shake_hands(self, gateway: Gateway, request: Request) -> Response | None:
        """The answer to a GET of a gateway that asks before it sends."""
        verification = gateway.verification
        return response_of(verification.reply(request, self._settings)) if verification else None

    def read(self, gateway: Gateway, request: Request) -> Sequence[Event]:
        """The events of an authentic request; raises Refused, BadRequest or StoreUnavailable."""
        if self._checks and not gateway.verify(request, self._settings):
            detail = f"the token or signature of this {gateway.name} webhook is wrong or missing"
            raise HTTPError(401, "unauthorized", detail)
        self._opened()
        return gateway.parse(request)

    def pack(self, events: Sequence[Event]) -> list[Append] | None:
        """The stored form of events that are messages for us and few; None for others, which need `take`."""
        if len(events) > MESSAGES_PER_STEP:
            return None
        appends = []
        for event in events:
            if not (isinstance(event, Message) and self._is_for_us(event)):
                return None
            appends.append(self._packed(event))
        return appends

    def submit(self, appends: list[Append], results: ResultsReceiver) -> None:
        """Append what `pack` made; raises StoreUnavailable when too many wait, else `results` hears of it in time."""
        kill_point("webhook_before_append")
        self._opened().collector.submit(appends, results)

    def settle(self, appends: Sequence[Append], results: Sequence[Appended]) -> Counts:
        """Tell what became of messages, and count it; raises ConversationBroken if not all are taken care of."""
        kill_point("webhook_after_append")
        accepted = duplicates = 0
        for status, _, _ in results:
            accepted += status == "new"
            duplicates += status == "duplicate"
        if self._tells:
            for append, result in zip(appends, results, strict=True):
                _tell(append, result)
        if accepted + duplicates < len(results):
            self._check_refusals(appends, results)
        return Counts(accepted, duplicates, len(appends) - accepted - duplicates)

    def _check_refusals(self, appends: Sequence[Append], results: Sequence[Appended]) -> None:
        """Raise ConversationBroken for messages that were not taken: their gateway has to send them again."""
        for append, (status, _, _) in zip(appends, results, strict=True):
            if status == "broken":
                ref = self._opened().store.ref(append.conversation)
                raise ConversationBroken(f"a key of the conversation {ref} in Redis is damaged; repair or delete it")

    def respond(self, gateway: Gateway, counts: Counts) -> Response:
        """The answer to what was taken."""
        return counts_response(counts) if gateway.success_reply is None else response_of(gateway.success_reply)

    async def take(self, events: Sequence[Event]) -> Counts:
        """In the order of the body: an edit or revoke behind its message must find it in the buffer."""
        way = self._opened()
        messages = [event for event in events if isinstance(event, Message) and self._is_for_us(event)]
        accepted, duplicates, _ = await self._append_all(way.collector, messages)
        if len(messages) < len(events):
            accepted += await self._act_on_buffer(way.store, events)
        return Counts(accepted, duplicates, max(1, len(events)) - accepted - duplicates)

    def _opened(self) -> _Sink:
        if self._sink is None:
            raise StoreUnavailable(self.why_not)
        return self._sink

    def complain(self, error: Exception) -> None:
        """Log what was not the client's fault; in an outage, which refuses thousands a second, one line in a while."""
        if isinstance(error, HTTPError | BadRequest):
            return
        if not isinstance(error, StoreError):
            log.error("a webhook broke off; its gateway will send again", error=repr(error), exc_info=error)
            return
        self._refused += 1
        now = time.monotonic()
        if now - self._complained_at >= COMPLAIN_EVERY_S:
            log.warning("messages not stored; their gateways will send again", refused=self._refused, error=str(error))
            self._refused, self._complained_at = 0, now

    async def _act_on_buffer(self, store: Store, events: Sequence[Event]) -> int:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return sum([await self._act(store, event) for event in events])
        except TimeoutError:
            raise StoreUnavailable(LATE) from None

    async def _act(self, store: Store, event: Event) -> bool:
        """Let an event that is no message act on the buffer; whether it changed something."""
        if isinstance(event, Presence):
            return event.state in TYPING and await store.extend(event.conversation) > 0
        if isinstance(event, Edit):
            return await store.edit(event.conversation, encode_edit(event)) in CHANGED
        if isinstance(event, Revoke):
            return await store.revoke(event.conversation, fingerprint_of(event.target_id)) in CHANGED
        return False

    def _is_for_us(self, message: Message) -> bool:
        settings = self._settings
        return not (
            message.from_me
            or (message.is_group and not settings.groups_enabled)
            or (message.kind == "reaction" and not settings.reactions_enabled)
        )

    async def _append_all(self, collector: AppendCoalescer, messages: list[Message]) -> Counts:
        """In lots, so that one enormous body holds up neither Redis nor the other requests of this process."""
        lots = [messages[start : start + MESSAGES_PER_STEP] for start in range(0, len(messages), MESSAGES_PER_STEP)]
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                counts = [await self._append(collector, lot) for lot in lots]
        except TimeoutError:
            raise StoreUnavailable(LATE) from None
        return Counts(*map(sum, zip(*counts, strict=True))) if counts else Counts(0, 0, 0)

    async def _append(self, collector: AppendCoalescer, messages: list[Message]) -> Counts:
        appends = [self._packed(message) for message in messages]
        kill_point("webhook_before_append")
        return self.settle(appends, await collector.append(appends))

    def _packed(self, message: Message) -> Append:
        return encode_message(message, next(self._nonces), self._keywords, self._inline_max)


def _nonces() -> Iterator[bytes]:
    """They tell a message from another of its id, and not from a resend of itself; they keep no secret."""
    for number in itertools.count(random.getrandbits(NONCE_BITS)):
        yield (number % 2**NONCE_BITS).to_bytes(NONCE_BITS // 8, "big")


def _tell(append: Append, result: Appended) -> None:
    gateway, channel, peer = append.conversation
    outcome = "✅ Mensagem adicionada ao buffer" if result.status == "new" else RESULT_TEXT[result.status]
    log.info(
        f"📥 Nova mensagem de {mask(peer)} · {outcome}",
        gateway=gateway,
        channel=channel,
        depth=result.depth,
        deadline_ms=result.deadline_ms,
    )
