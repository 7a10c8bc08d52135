"""The one list of the reasons for which a request is rejected, and the reason of an error of the store."""

from __future__ import annotations

from collections.abc import Mapping

from buffer.errors import ConversationBroken, ConversationFull, NotDurable, StoreError, StoreFull

REJECTED_REASONS: Mapping[str, str] = {
    "not_http": "400: bytes that are no HTTP/1.1",
    "bad_request": "400: a body or a head that cannot be read",
    "unauthorized": "401: a wrong or missing token or signature",
    "forbidden": "403: a wrong verify token of Meta",
    "unknown_gateway": "404: an address that names no gateway",
    "gateway_closed": "404: a gateway whose secret is not configured",
    "method_not_allowed": "405: a method other than POST",
    "timeout": "408: headers or a body that did not arrive in time",
    "too_large": "413 or 431: a body or headers beyond the limit",
    "internal": "500: a bug of this service; its log says why",
    "unavailable": "503: Redis does not answer, or the process holds too many bodies",
    "redis_full": "503: Redis is out of memory",
    "not_durable": "503: DURABILITY was not confirmed in time",
    "conversation_full": "503: MESSAGE_BUFFER_MAX_PENDING messages of the conversation wait",
    "conversation_broken": "503: a key of the conversation in Redis is damaged",
    "too_many_connections": "503: the process has no file descriptor left for the connection",
}
"""Each reason with its status and its meaning. Chatwoot gets 500 in place of 503."""

STORE_REASONS: Mapping[type[StoreError], str] = {
    StoreFull: "redis_full",
    NotDurable: "not_durable",
    ConversationFull: "conversation_full",
    ConversationBroken: "conversation_broken",
}


def reason_of(error: StoreError) -> str:
    """Return the reason for which a request with this error was rejected."""
    return STORE_REASONS.get(type(error), "unavailable")
