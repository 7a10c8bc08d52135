"""Authenticates, parses and stores webhook requests, and responds to them. HTTP is in fast_path.py and asgi.py.

A request gets 2xx only after Redis has stored its messages.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, NamedTuple

from buffer.errors import StoreUnavailable
from buffer.keys import fingerprint_of
from buffer.models import (
    Append,
    Conversation,
    DeliveryStatus,
    Edit,
    EditResult,
    Event,
    Ignored,
    Message,
    Presence,
    Revoke,
    RevokeResult,
)
from buffer.presence import KIND_OF_STATE
from buffer.reply_store import Replies
from buffer.rules import AppendRules
from buffer.store import Store
from buffer.stored_message import encode_edit
from config.killpoints import kill_point
from config.routes import Routes
from config.settings import Settings
from config.trace_context import trace_of
from gateways.base import Gateway, Request
from gateways.credentials import ways_to_authenticate
from gateways.registry import GATEWAYS
from webhook.append_coalescer import STORE_TIMEOUT_S, TIMED_OUT, AppendCoalescer
from webhook.append_counts import count_results
from webhook.channel_rules import ROUTE_DISABLED, ChannelRules, RuleBook
from webhook.left_out import NO_GATEWAY
from webhook.limits import BodyBudget, BodyReader
from webhook.own_messages import OwnMessages
from webhook.pending_request import PendingRequest, Respond, Spans
from webhook.request_log import RequestLog
from webhook.responses import Busy, Counts, HTTPError, Response, error_response, response_of, success_response
from webhook.tallies import AppendTimes
from webhook.windows import ChannelWindows

CHANGED: tuple[EditResult | RevokeResult, ...] = ("changed", "removed", "early")
"""Results of an edit or revoke that changed the buffer, or that wait in Redis for their message."""

MESSAGES_PER_APPEND = 1000
"""Messages of one request that are appended together. A larger request is appended in several steps, so that it delays
neither Redis nor the other requests of this process."""

NONCE_BITS = 32


class _Sink(NamedTuple):
    """The store that accepts messages, and the coalescer in front of its append call."""

    store: Store
    coalescer: AppendCoalescer
    own: OwnMessages


class Ingest:
    """Handles the requests of all gateways. It refuses messages until `accept_into` gives it a store."""

    def __init__(self, settings: Settings, routes: Routes | None = None, spans: Spans | None = None) -> None:
        self._settings = settings
        self._spans = spans
        routes = routes or Routes(settings)
        self.windows = ChannelWindows(routes)
        self._rules = RuleBook(routes, self.windows)
        self._authenticates = not settings.webhook_allow_unsigned
        self._open_gateways = {
            name for name, gateway in GATEWAYS.items() if not self._authenticates or gateway.is_open(settings)
        }
        self._log = RequestLog(settings.log_level)
        self._parsers = {name: gateway.configured(settings) for name, gateway in GATEWAYS.items() if gateway.configured}
        self.left_out = self._log.left_out
        self.duplicates = self._log.duplicates
        self.append_times = AppendTimes()
        self._sink: _Sink | None = None
        self._nonces = _nonces()
        self.body_max = settings.webhook_max_body
        self.budget = BodyBudget(settings.webhook_bodies_max)
        self.not_ready_reason = "the service is starting; try again"

    def accept_into(self, store: Store) -> None:
        """Accept messages from now on and append them to this store."""
        self._sink = _Sink(store, AppendCoalescer(store, self.append_times), OwnMessages(Replies(store)))

    def route(self, path: str, method: str) -> tuple[Gateway, str]:
        """Return the gateway that a path names, and the rest of the path. Raises HTTPError (404 or 405)."""
        name, _, tail = path.removeprefix("/webhooks/").partition("/")
        gateway = GATEWAYS.get(name)
        if gateway is None:
            known = f"known: {', '.join(GATEWAYS)}"
            detail, told = f"{name!r:.60} is not a gateway; {known}", f"the address names no gateway; {known}"
            raise HTTPError(404, "unknown_gateway", detail, log_detail=told)
        if name not in self._open_gateways:
            detail = f"no secret of the gateway {name} is configured, so it is closed"
            raise HTTPError(404, "gateway_closed", detail, log_detail=f"{detail}; docs/gateways.md names its setting")
        if method != "POST" and (method != "GET" or gateway.verification is None):
            allowed = b"GET, POST" if gateway.verification else b"POST"
            raise HTTPError(405, "method_not_allowed", "a webhook is a POST", [(b"allow", allowed)])
        return gateway, tail

    def check_head(self, gateway: Gateway, request: Request) -> None:
        """Raise HTTPError (401) if headers and query show that the request is not authentic. Its body is not read."""
        if self._authenticates and gateway.verify_head:
            verdict = gateway.verify_head(request, self._settings)
            if verdict is False:
                raise _unauthorized(gateway)
            request.is_authentic = verdict is True

    def body_reader(self) -> BodyReader:
        """Return a reader for one body, within the limits of this process."""
        return BodyReader(self.budget, self.body_max, self._settings.webhook_body_timeout)

    def verification_response(self, gateway: Gateway, request: Request) -> Response | None:
        """Return the response to a verification request (GET), or None if the gateway sends none."""
        if gateway.verification is None:
            return None
        reply = gateway.verification.reply(request, self._settings)
        if reply.status != 200:
            told = f"the verify token of {gateway.name} is wrong or missing: it must be the one configured here"
            self.left_out.refuse(gateway.name, HTTPError(reply.status, "forbidden", told))
        return response_of(reply)

    def refuse(self, gateway: Gateway, error: HTTPError | Busy) -> Response:
        """Log a refusal that `handle` has not seen, and return its response."""
        self._log.log_failure(gateway, error)
        return error_response(error, gateway)

    def handle(self, gateway: Gateway, request: Request, respond: Respond) -> Coroutine[Any, Any, None] | None:
        """Authenticate, parse and store a request. Call `respond` exactly once, now or later, also after an error.

        Returns None, or a coroutine with the remaining steps, which the caller must run.
        """
        pending = PendingRequest(gateway, respond, self._log)
        try:
            self._authenticate(gateway, request)
            pending.trace = trace_of(request.headers)
            if self._spans is not None:
                self._spans.begin(pending)
            sink = self._open_sink()
            events = self._parsers.get(gateway.name, gateway.parse)(request)
            encoded = self._encode_messages(events, pending.trace)
            if encoded is None:
                return self._handle_in_steps(pending, sink, events)
            pending.appends, rules, left_out = encoded
            if left_out:
                pending.left_out = list(self._rules.left_out(left_out))
            kill_point("webhook_before_append")
            sink.coalescer.submit(pending.appends, pending, rules)
        except Exception as error:
            pending.set_exception(error)
        return None

    def _authenticate(self, gateway: Gateway, request: Request) -> None:
        if self._authenticates and not request.is_authentic and not gateway.verify(request, self._settings):
            raise _unauthorized(gateway)

    def _open_sink(self) -> _Sink:
        if self._sink is None:
            raise StoreUnavailable(self.not_ready_reason)
        return self._sink

    def _encode_messages(
        self, events: Sequence[Event], trace: str | None
    ) -> tuple[list[Append], AppendRules, list[Event]] | None:
        """Return the appends of a request with messages of one route to store, their rules, and what calls nobody.

        Returns None for all other requests, which `_handle_in_steps` handles: those with other events, with nothing to
        store, and with more messages than one append call takes.
        """
        if not 0 < len(events) <= MESSAGES_PER_APPEND:
            return None
        appends: list[Append] = []
        left_out: list[Event] = []
        rules: ChannelRules | None = None
        for event in events:
            if isinstance(event, Ignored):
                left_out.append(event)
                continue
            if not isinstance(event, Message) or event.from_me:
                return None
            own = self._rules.of(event.conversation)
            if not own.is_wanted(event):
                left_out.append(event)
            elif rules is None or own is rules:
                rules = own
                appends.append(own.encode(event, next(self._nonces), trace))
            else:
                return None
        return (appends, rules.append, left_out) if rules else None

    async def store(self, events: Sequence[Event]) -> Counts:
        """Store events that no gateway has sent, in the way of all others. Raises StoreError."""
        return await self._store_events(self._open_sink(), events, None)

    async def _handle_in_steps(self, pending: PendingRequest, sink: _Sink, events: Sequence[Event]) -> None:
        """Handle a request that holds edits, revokes, typing events, nothing to store, or too many messages."""
        try:
            counts = await self._store_events(sink, events, pending.trace)
            self._count_ignored(pending.gateway.name, events)
            pending.respond(success_response(pending.gateway, counts))
        except Exception as error:
            pending.set_exception(error)

    async def _store_events(self, sink: _Sink, events: Sequence[Event], trace: str | None) -> Counts:
        """Append the messages, then apply the other events: an edit or revoke must find its message in the buffer."""
        messages = [event for event in events if isinstance(event, Message) and self._is_wanted(event)]
        accepted, duplicates, _ = await self._append_all(sink.coalescer, messages, trace)
        if len(messages) < len(events):
            accepted += await self._apply_all(sink, events)
        return Counts(accepted, duplicates, max(1, len(events)) - accepted - duplicates)

    async def _apply_all(self, sink: _Sink, events: Sequence[Event]) -> int:
        """Apply the events that are no messages, in order, and return the number that changed something."""
        try:
            async with asyncio.timeout(STORE_TIMEOUT_S):
                return sum([await self._apply_and_count(sink, event) for event in events])
        except TimeoutError:
            raise StoreUnavailable(TIMED_OUT) from None

    async def _apply_and_count(self, sink: _Sink, event: Event) -> bool:
        if isinstance(event, DeliveryStatus):
            rules = self._rules.of(Conversation(event.gateway, event.channel, ""))
            await sink.own.report(event, rules.settings)
        elif isinstance(event, Message) and event.from_me:
            rules = self._rules.of(event.conversation)
            if rules.enabled:
                await sink.own.note(event, rules.settings)
        elif isinstance(event, Presence | Edit | Revoke):
            return await self._change(sink.store, event)
        return False

    async def _change(self, store: Store, event: Presence | Edit | Revoke) -> bool:
        rules = self._rules.of(event.conversation)
        changed = rules.enabled and await self._apply(store, event, rules)
        if not changed:
            reason = "unchanged" if rules.enabled else ROUTE_DISABLED
            self.left_out.ignore(event.conversation.gateway, reason)
        return changed

    async def _apply(self, store: Store, event: Presence | Edit | Revoke, rules: ChannelRules) -> bool:
        """Apply an edit, revoke or typing event, and return True if it changed something."""
        if isinstance(event, Presence):
            kind = KIND_OF_STATE[event.state]
            if event.participant and kind == "stopped":
                return False  # another one of the group may still be typing
            return await store.presence(event.conversation, kind, rules.settings) > 0
        if isinstance(event, Edit):
            return await store.edit(event.conversation, encode_edit(event)) in CHANGED
        fingerprints = map(fingerprint_of, (event.target_id, *(event.part_ids or ())))
        return await store.revoke(event.conversation, *fingerprints) in CHANGED

    def _count_ignored(self, gateway: str, events: Sequence[Event]) -> None:
        """Count the parts of a body that call nobody."""
        for reason, shape in self._rules.left_out(events):
            self.left_out.ignore(gateway, reason, shape)
        if not events:
            self.left_out.ignore(gateway, "unknown_event")

    def _is_wanted(self, message: Message) -> bool:
        return self._rules.of(message.conversation).is_wanted(message)

    async def _append_all(self, coalescer: AppendCoalescer, messages: list[Message], trace: str | None) -> Counts:
        """Append messages in steps of MESSAGES_PER_APPEND, each of one route, and add up their counts."""
        steps = [
            (rules, group[start : start + MESSAGES_PER_APPEND])
            for rules, group in self._rules.groups(messages)
            for start in range(0, len(group), MESSAGES_PER_APPEND)
        ]
        try:
            async with asyncio.timeout(STORE_TIMEOUT_S):
                counts = [await self._append(coalescer, step, rules, trace) for rules, step in steps]
        except TimeoutError:
            raise StoreUnavailable(TIMED_OUT) from None
        return Counts(*map(sum, zip(*counts, strict=True))) if counts else Counts(0, 0, 0)

    async def _append(
        self, coalescer: AppendCoalescer, messages: list[Message], rules: ChannelRules, trace: str | None
    ) -> Counts:
        appends = [rules.encode(message, next(self._nonces), trace) for message in messages]
        kill_point("webhook_before_append")
        return count_results(appends, await coalescer.append(appends, rules.append), self._log)


def gateway_named_in(path: str) -> str:
    """Return the name of the gateway in a path under /webhooks/, or NO_GATEWAY."""
    name = path.removeprefix("/webhooks/").partition("/")[0]
    return name if name in GATEWAYS else NO_GATEWAY


def _unauthorized(gateway: Gateway) -> HTTPError:
    ways = ways_to_authenticate(gateway)
    detail = f"the token or signature of this {gateway.name} webhook is wrong or missing; {ways}"
    return HTTPError(401, "unauthorized", detail, log_detail=f"token or signature wrong or missing; {ways}")


def _nonces() -> Iterator[bytes]:
    """Yield nonces that distinguish a resend from another message with the same id. They need not be secret."""
    for number in itertools.count(random.getrandbits(NONCE_BITS)):
        yield (number % 2**NONCE_BITS).to_bytes(NONCE_BITS // 8, "big")
