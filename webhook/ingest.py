"""`POST /webhooks/{gateway}`: verify, parse, append, and 2xx only then. Plain ASGI: it is the hot path."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import MutableMapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from buffer.envelope import pack, pack_edit
from buffer.errors import StoreError, StoreUnavailable
from buffer.keys import fingerprint_of
from buffer.models import Append, Appended, Edit, Event, Message, Presence, Revoke
from buffer.store import Store
from config.killpoints import reach
from config.logs import get_logger, mask
from config.settings import Settings
from gateways.base import BadRequest, Gateway, Request
from gateways.registry import GATEWAYS
from webhook.answers import Counts, Events, Refused, answer_events, come_back, counts_events, send_refusal
from webhook.collector import ANSWER_WITHIN_S, Collector

TYPING = ("composing", "recording")
CHANGED = ("changed", "removed", "early")
NOT_STORED = "the messages could not be stored; send the same again"
LATE = "Redis did not answer in time"
LOT_MAX = 1000
COMPLAIN_EVERY_S = 5.0
DIGITS_MAX = 20
NONCE_BITS = 32
NO_QUERY: dict[str, str] = {}
TOLD = {
    "duplicate": "duplicada, ignorada",
    "discarded": "descartada: atendimento humano",
    "revoked": "apagada pelo autor",
    "stale": "antiga demais, ignorada",
}
log = get_logger()


class Disconnected(Exception):
    """The client went away before its body was complete."""


class _Way(NamedTuple):
    """The way into the buffer, once it is open."""

    store: Store
    collector: Collector


class Ingest:
    """The ASGI application of `/webhooks/…`; `store` is set once the server was found fit."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._checks = not settings.webhook_allow_unsigned
        self._open = {name for name, gateway in GATEWAYS.items() if not self._checks or gateway.is_open(settings)}
        self._tells = settings.log_level in ("DEBUG", "INFO")
        self._way: _Way | None = None
        self._refused = 0
        self._complained_at = -COMPLAIN_EVERY_S
        self.why_not = "the service is starting; try again"

    def open(self, store: Store) -> None:
        """Begin to accept messages into this store."""
        self._way = _Way(store, Collector(store))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        retry_status = 503
        try:
            gateway, tail = self._route(scope)
            retry_status = gateway.retry_status
            request = await self._read(scope, receive, tail)
            answer = await self._answer(gateway, request, scope["method"])
        except Refused as refused:
            await send_refusal(send, refused)
        except BadRequest as error:
            await send_refusal(send, Refused(400, "bad_request", str(error)))
        except StoreError as error:
            self._complain(error)
            await send_refusal(send, come_back(NOT_STORED, retry_status))
        except Disconnected:
            return
        else:
            for event in answer:
                await send(event)

    def _route(self, scope: Scope) -> tuple[Gateway, str]:
        name, _, tail = scope["path"].removeprefix("/webhooks/").partition("/")
        gateway = GATEWAYS.get(name)
        if gateway is None:
            raise Refused(404, "unknown_gateway", f"{name!r:.60} is not a gateway; known: {', '.join(GATEWAYS)}")
        if name not in self._open:
            raise Refused(404, "gateway_closed", f"no secret of the gateway {name} is configured, so it is closed")
        if scope["method"] != "POST" and (scope["method"] != "GET" or gateway.handshake is None):
            allowed = b"GET, POST" if gateway.handshake else b"POST"
            raise Refused(405, "method_not_allowed", "a webhook is a POST", [(b"allow", allowed)])
        return gateway, tail

    async def _answer(self, gateway: Gateway, request: Request, method: str) -> Events:
        if method == "GET" and gateway.handshake is not None:
            return answer_events(gateway.handshake(request, self._settings))
        if self._checks and not gateway.verify(request, self._settings):
            detail = f"the token or signature of this {gateway.name} webhook is wrong or missing"
            raise Refused(401, "unauthorized", detail)
        if self._way is None:
            raise StoreUnavailable(self.why_not)
        counts = await self._take(self._way, gateway.parse(request))
        return counts_events(counts) if gateway.accepted is None else answer_events(gateway.accepted)

    async def _read(self, scope: Scope, receive: Receive, tail: str) -> Request:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self._check_size(_declared_size(headers))
        event = await receive()
        if event["type"] == "http.request" and not event.get("more_body"):
            body = event.get("body", b"")
            self._check_size(len(body))
        else:
            body = await self._read_on(event, receive)
        query = scope["query_string"].decode("latin-1")
        path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        return Request(headers, dict(parse_qsl(query)) if query else NO_QUERY, tail, body, path, query)

    async def _read_on(self, event: MutableMapping[str, Any], receive: Receive) -> bytes:
        """The body of a request that comes in pieces, of which the first is here."""
        chunks, size = [], 0
        while event["type"] == "http.request":
            chunks.append(event.get("body", b""))
            size += len(chunks[-1])
            self._check_size(size)
            if not event.get("more_body"):
                return b"".join(chunks)
            event = await receive()
        raise Disconnected

    def _check_size(self, size: int) -> None:
        if size > self._settings.webhook_max_body:
            detail = f"the body is larger than WEBHOOK_MAX_BODY={self._settings.webhook_max_body} bytes"
            raise Refused(413, "too_large", detail)

    async def _take(self, way: _Way, events: Sequence[Event]) -> Counts:
        """In the order of the body: an edit or revoke behind its message must find it in the buffer."""
        messages = [event for event in events if isinstance(event, Message) and self._is_for_us(event)]
        results = await self._append_all(way.collector, messages)
        accepted = duplicates = 0
        for status, _, _ in results:
            accepted += status == "new"
            duplicates += status == "duplicate"
        if len(messages) < len(events):
            accepted += await self._act_on_buffer(way.store, events)
        return Counts(accepted, duplicates, max(1, len(events)) - accepted - duplicates)

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
            return await store.edit(event.conversation, pack_edit(event)) in CHANGED
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

    async def _append_all(self, collector: Collector, messages: list[Message]) -> list[Appended]:
        """In lots, so that one enormous body holds up neither Redis nor the other requests of this process."""
        if len(messages) <= LOT_MAX:
            return await self._append(collector, messages) if messages else []
        lots = [messages[start : start + LOT_MAX] for start in range(0, len(messages), LOT_MAX)]
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return [result for lot in lots for result in await self._append(collector, lot)]
        except TimeoutError:
            raise StoreUnavailable(LATE) from None

    async def _append(self, collector: Collector, messages: list[Message]) -> list[Appended]:
        keywords, inline_max = self._settings.message_buffer_flush_keywords, self._settings.media_inline_max
        nonces = itertools.count(random.getrandbits(NONCE_BITS))  # tells requests apart, keeps no secret
        appends = [pack(message, _nonce(number), keywords, inline_max) for message, number in zip(messages, nonces)]
        reach("webhook_before_append")
        results = await collector.append(appends)
        reach("webhook_after_append")
        if self._tells:
            for append, result in zip(appends, results, strict=True):
                _tell(append, result)
        return results

    def _complain(self, error: StoreError) -> None:
        """One line in a while: an outage refuses thousands of requests a second."""
        self._refused += 1
        now = time.monotonic()
        if now - self._complained_at >= COMPLAIN_EVERY_S:
            log.warning("messages not stored; their gateways will send again", refused=self._refused, error=str(error))
            self._refused, self._complained_at = 0, now


def _declared_size(headers: dict[str, str]) -> int:
    declared = headers.get("content-length", "")
    return int(declared[:DIGITS_MAX]) if declared.isascii() and declared.isdigit() else 0


def _nonce(number: int) -> bytes:
    """One for each message of a request, so that an id that comes twice in it is told from a resend of the request."""
    return (number % 2**NONCE_BITS).to_bytes(4, "big")


def _tell(append: Append, result: Appended) -> None:
    gateway, channel, peer = append.conversation
    outcome = "✅ Mensagem adicionada ao buffer" if result.status == "new" else TOLD[result.status]
    log.info(
        f"📥 Nova mensagem de {mask(peer)} · {outcome}",
        gateway=gateway,
        channel=channel,
        depth=result.depth,
        deadline_ms=result.deadline_ms,
    )
