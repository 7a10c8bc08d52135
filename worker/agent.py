"""One HTTP call to the agent, and what its outcome means for the batch."""

from __future__ import annotations

import asyncio
import base64
import binascii
import email.utils
import hashlib
import hmac
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import httpx
import orjson
from httpx_aiohttp import AiohttpTransport

from buffer.models import Batch
from config.settings import Settings, required

DEAD_STATUSES = frozenset({400, 413, 415, 422})
"""These are about this very message: trying again cannot help (design §4)."""

CONNECT_TIMEOUT_S = 5.0
ANSWER_MAX = 1_048_576
"""Largest answer (bytes) that is read: it is a chat reply."""

KEEPALIVE_S = 30.0


@dataclass(slots=True, frozen=True)
class Accepted:
    """The agent took the batch (2xx); `replies` are texts for the person, `odd` says what was not understood."""

    replies: tuple[str, ...] = ()
    odd: str | None = None


@dataclass(slots=True, frozen=True)
class Problem:
    """The agent did not take the batch; `dead`: never try again; `sent`: the agent may have seen the request."""

    error: str
    dead: bool = False
    sent: bool = True
    retry_after_s: float | None = field(default=None)


class Agent:
    """The agent at AGENT_URL; one pool of kept-alive connections per worker."""

    def __init__(self, settings: Settings) -> None:
        self._url = required(settings.agent_url, "AGENT_URL")
        self._timeout_s = settings.agent_timeout
        self._secret = _signing_key(settings.agent_secret.get_secret_value()) if settings.agent_secret else None
        limits = httpx.Limits(
            max_connections=settings.worker_concurrency,
            max_keepalive_connections=settings.worker_concurrency,
            keepalive_expiry=KEEPALIVE_S,
        )
        timeout = httpx.Timeout(settings.agent_timeout, connect=CONNECT_TIMEOUT_S, pool=None)
        self._client = httpx.AsyncClient(
            transport=AiohttpTransport(limits=limits), timeout=timeout, follow_redirects=False
        )

    async def call(self, batch: Batch, body: bytes) -> Accepted | Problem:
        """Deliver one batch; never raises for what the agent or the network does."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._call(batch, body)
        except TimeoutError:
            return Problem(f"the agent did not answer within AGENT_TIMEOUT={self._timeout_s:g} s")
        except httpx.HTTPError as error:
            return Problem(_network_error(error), sent=not _never_sent(error))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _call(self, batch: Batch, body: bytes) -> Accepted | Problem:
        headers = self._headers(batch, body)
        async with self._client.stream("POST", self._url, content=body, headers=headers) as response:
            content = b""
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > ANSWER_MAX:
                    return _too_long(response.status_code)
        if response.is_success:
            return read_answer(response.headers.get("content-type", ""), content)
        return Problem(
            f"the agent answered {response.status_code}" + _hint(response.status_code),
            dead=response.status_code in DEAD_STATUSES,
            retry_after_s=_retry_after(response.headers.get("retry-after")),
        )

    def _headers(self, batch: Batch, body: bytes) -> dict[str, str]:
        headers = {
            "content-type": "application/json",
            "idempotency-key": batch.flush_id,
            "debouncer-attempt": str(batch.attempt),
            "user-agent": "debouncer",
        }
        if self._secret is not None:
            timestamp = str(int(time.time()))
            headers["webhook-id"] = batch.flush_id
            headers["webhook-timestamp"] = timestamp
            headers["webhook-signature"] = sign(self._secret, batch.flush_id, timestamp, body)
        return headers


def sign(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """The `webhook-signature` of the Standard Webhooks specification, version 1 (symmetric)."""
    content = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def _signing_key(secret: str) -> bytes:
    """`whsec_<base64>` as the specification writes it; any other secret is taken as it is."""
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            pass
    return secret.encode()


def read_answer(content_type: str, content: bytes) -> Accepted:
    """The replies in a 2xx body: `{"reply"}`, `{"replies"}`, text/plain, or none."""
    kind = content_type.partition(";")[0].strip().lower()
    if not content.strip():
        return Accepted()
    if kind == "text/plain":
        return Accepted((content.decode("utf-8", "replace"),))
    try:
        parsed = orjson.loads(content)
    except orjson.JSONDecodeError:
        return Accepted(odd=f"a body of type {kind or 'unknown'} that is not JSON")
    replies = _replies(parsed) if isinstance(parsed, dict) else None
    if replies is None:
        return Accepted(odd="JSON without `reply` (a string) or `replies` (a list of strings)")
    return Accepted(tuple(reply for reply in replies if reply))


def _replies(parsed: dict[str, Any]) -> list[str] | None:
    replies = parsed.get("replies", [parsed["reply"]] if "reply" in parsed else None)
    if isinstance(replies, list) and all(isinstance(reply, str) for reply in replies):
        return replies
    return [] if "reply" in parsed and parsed["reply"] is None else None


def _too_long(status: int) -> Accepted | Problem:
    detail = f"an answer longer than {ANSWER_MAX} bytes"
    return Accepted(odd=detail) if 200 <= status < 300 else Problem(f"the agent answered {status} with {detail}")


def _hint(status: int) -> str:
    hints = {
        301: ": AGENT_URL redirects, which is not followed; set the final address",
        302: ": AGENT_URL redirects, which is not followed; set the final address",
        401: ": it wants credentials that AGENT_URL does not carry",
        404: ": is the workflow switched on and AGENT_URL its production address?",
        409: ": it is still at work on this flush",
        422: ": it took the same Idempotency-Key for another body, or rejects the body",
    }
    return hints.get(status, "")


def _retry_after(value: str | None) -> float | None:
    """Retry-After as seconds from now: a number or an HTTP date (RFC 9110)."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _never_sent(error: httpx.HTTPError) -> bool:
    """The transport maps "closed after reading the request" to ConnectTimeout too: only the cause tells them apart."""
    return isinstance(error.__cause__, aiohttp.ClientConnectorError)


def _network_error(error: httpx.HTTPError) -> str:
    if _never_sent(error):
        return f"the agent cannot be reached: {error}"
    return f"the connection to the agent broke: {error or type(error).__name__}"
