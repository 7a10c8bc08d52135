"""Calls the agent over HTTP, and reads from the response whether it accepted the batch."""

from __future__ import annotations

import asyncio
import base64
import binascii
import email.utils
import hashlib
import hmac
import ssl
import time
from collections.abc import AsyncIterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

import aiohttp
import httpx
import orjson
from httpx_aiohttp import AiohttpTransport

from buffer.models import Batch
from config.settings import Settings, require

DEAD_STATUSES = frozenset({400, 413, 415, 422})
"""HTTP statuses that reject this very batch: it becomes a dead letter (docs/invariants.md#retry)."""

CONNECT_TIMEOUT_S = 5.0
TIMEOUT = {"connect": CONNECT_TIMEOUT_S}
"""Timeouts in the form of httpx, in seconds. The whole call has another one, AGENT_TIMEOUT."""

KEEPALIVE_S = 30.0
"""How long an idle connection to the agent stays open."""

ANSWER_MAX = 1_048_576
"""Largest answer that is read, in bytes. An answer is a chat message."""


@dataclass(slots=True, frozen=True)
class AgentReply:
    """The agent accepted the batch (2xx). `not_understood` describes an answer without readable replies."""

    replies: tuple[str, ...] = ()
    not_understood: str | None = None


@dataclass(slots=True, frozen=True)
class AgentFailure:
    """The agent did not accept the batch. `dead`: do not retry. `sent`: the agent may have read the request."""

    error: str
    dead: bool = False
    sent: bool = True
    retry_after_s: float | None = field(default=None)


class Agent:
    """The agent at AGENT_URL, reached through one pool of connections per process."""

    def __init__(self, settings: Settings) -> None:
        url = httpx.URL(require(settings.agent_url, "AGENT_URL"))
        self._url = url.copy_with(userinfo=b"", fragment=None)
        self._headers = _fixed_headers(url)
        self._timeout_s = settings.agent_timeout
        self._secret = _signing_key(settings.agent_secret.get_secret_value()) if settings.agent_secret else None
        self._connections_max = settings.worker_concurrency
        self._transport = AiohttpTransport(verify=_ssl_context(url), client=self._open)

    async def call(self, batch: Batch, body: bytes) -> AgentReply | AgentFailure:
        """Deliver one batch. Return an AgentFailure for every error of the agent or the network, and raise none."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._call(batch, body)
        except TimeoutError:
            return AgentFailure(f"the agent did not answer within AGENT_TIMEOUT={self._timeout_s:g} s")
        except httpx.HTTPError as error:
            _drop_tracebacks(error)
            return AgentFailure(_network_error(error), sent=not _was_not_sent(error))
        except aiohttp.ClientResponseError as error:
            return AgentFailure(f"the agent's answer is not HTTP: {error.message}")

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    def _open(self) -> aiohttp.ClientSession:
        context = self._transport.ssl_context
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections_max, keepalive_timeout=KEEPALIVE_S, ssl=context),
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            response_class=_Response,
        )

    async def _call(self, batch: Batch, body: bytes) -> AgentReply | AgentFailure:
        response = await self._transport.handle_async_request(self._request(batch, body))
        content = await _read(response)
        if content is None:
            return _too_long(response.status_code)
        if response.is_success:
            return read_answer(response.headers.get("content-type", ""), content)
        return AgentFailure(
            f"the agent answered {response.status_code}" + _advice(response.status_code),
            dead=response.status_code in DEAD_STATUSES,
            retry_after_s=_retry_after(response.headers.get("retry-after")),
        )

    def _request(self, batch: Batch, body: bytes) -> httpx.Request:
        """Build the request for the transport. httpx.AsyncClient would build the same and double the cost of a call."""
        headers = {"idempotency-key": batch.flush_id, "debouncer-attempt": str(batch.attempt)}
        if self._secret is not None:
            timestamp = str(int(time.time()))
            headers["webhook-id"] = batch.flush_id
            headers["webhook-timestamp"] = timestamp
            headers["webhook-signature"] = sign(self._secret, batch.flush_id, timestamp, body)
        request = httpx.Request(
            "POST", self._url, headers=headers, stream=httpx.ByteStream(body), extensions={"timeout": TIMEOUT}
        )
        request.read()
        return request


class _Response(aiohttp.ClientResponse):
    """A response without its reason phrase: AiohttpTransport raises UnicodeEncodeError for one that is not UTF-8."""

    @property
    def reason(self) -> None:
        return None

    @reason.setter
    def reason(self, _: str | None) -> None:
        pass


def _ssl_context(url: httpx.URL) -> ssl.SSLContext:
    """Load the certificates only for an https address, because loading takes longer than many calls."""
    return _certificates() if url.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@cache
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def _fixed_headers(url: httpx.URL) -> dict[str, str]:
    headers = {
        "Host": url.netloc.decode(),
        "content-type": "application/json",
        "user-agent": "debouncer",
        "accept": "*/*",
        "accept-encoding": "gzip, deflate",
    }
    if url.userinfo:
        signed = next(httpx.BasicAuth(url.username, url.password).auth_flow(httpx.Request("POST", url)))
        headers["authorization"] = signed.headers["authorization"]
    return headers


async def _read(response: httpx.Response) -> bytes | None:
    """Read the whole body. Return None if it is longer than ANSWER_MAX.

    The connection of a response that was not read to its end is closed.
    """
    content = b""
    chunks = response.aiter_bytes() if "content-encoding" in response.headers else response.stream
    try:
        async for chunk in cast(AsyncIterable[bytes], chunks):
            content += chunk
            if len(content) > ANSWER_MAX:
                await response.aclose()
                return None
    except BaseException:
        await response.aclose()
        raise
    return content


def sign(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """Return the `webhook-signature` of the Standard Webhooks specification, version 1 (symmetric)."""
    content = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def _signing_key(secret: str) -> bytes:
    """Decode `whsec_<base64>`, the specification's form. Any other secret is used as it is."""
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            pass
    return secret.encode()


def read_answer(content_type: str, content: bytes) -> AgentReply:
    """Read the replies of a 2xx body: `{"reply"}`, `{"replies"}`, text/plain, or an empty body for none."""
    kind = content_type.partition(";")[0].strip().lower()
    if not content.strip():
        return AgentReply()
    if kind == "text/plain":
        return AgentReply((content.decode("utf-8", "replace"),))
    try:
        parsed = orjson.loads(content)
    except orjson.JSONDecodeError:
        return AgentReply(not_understood=f"a body of type {kind or 'unknown'} that is not JSON")
    replies = _replies(parsed) if isinstance(parsed, dict) else None
    if replies is None:
        return AgentReply(not_understood="JSON without `reply` (a string) or `replies` (a list of strings)")
    return AgentReply(tuple(reply for reply in replies if reply))


def _replies(parsed: dict[str, Any]) -> list[str] | None:
    replies = parsed.get("replies", [parsed["reply"]] if "reply" in parsed else None)
    if isinstance(replies, list) and all(isinstance(reply, str) for reply in replies):
        return replies
    return [] if "reply" in parsed and parsed["reply"] is None else None


def _too_long(status: int) -> AgentReply | AgentFailure:
    detail = f"an answer longer than {ANSWER_MAX} bytes"
    return (
        AgentReply(not_understood=detail)
        if 200 <= status < 300
        else AgentFailure(f"the agent answered {status} with {detail}")
    )


def _advice(status: int) -> str:
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
    """Convert Retry-After, a number or an HTTP date (RFC 9110), to seconds from now. Return None if unreadable."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _drop_tracebacks(error: httpx.HTTPError) -> None:
    """Break the reference cycles error -> traceback -> request body of the error's causes.

    Without this, failed calls keep their bodies in memory until a full collection: gigabytes while an agent is away.
    """
    cause = error.__cause__
    while cause is not None:
        cause.__traceback__ = None
        cause = cause.__cause__


def _was_not_sent(error: httpx.HTTPError) -> bool:
    """Return True if no connection was made.

    The cause decides, because the transport also maps "closed after reading the request" to ConnectTimeout.
    """
    return isinstance(error.__cause__, aiohttp.ClientConnectorError)


def _network_error(error: httpx.HTTPError) -> str:
    if _was_not_sent(error):
        return f"the agent cannot be reached: {error}"
    return f"the connection to the agent broke: {error or type(error).__name__}"
