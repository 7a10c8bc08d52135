"""Reads the agent's answer within bounds, and says what it means for the batch."""

from __future__ import annotations

import zlib

import aiohttp
import httpx

from agents import generic
from agents.http_errors import retry_after
from agents.late import announced
from agents.results import AgentFailure, AgentReply, doubt
from worker.agent_connection import ANSWER_MAX, AnswerTooLong

DEAD_STATUSES = frozenset({400, 413, 415, 422})
"""HTTP statuses that reject this very batch: it becomes a dead letter (docs/invariants.md#retry)."""

GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
"""The format for zlib: the first bytes tell gzip from zlib."""

WINDOW_BITS = {"gzip": GZIP_OR_ZLIB, "x-gzip": GZIP_OR_ZLIB, "deflate": GZIP_OR_ZLIB}
UNREADABLE = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz"})
"""Content codings that are not unpacked. Other words in `content-encoding` are no coding, and the body is plain."""


class Unreadable(Exception):
    """The body is not read: too long, or packed in a way that was not asked for. The message is for people."""


class Damaged(Exception):
    """The body cannot be unpacked. The message is for people."""


async def read(response: aiohttp.ClientResponse, url: httpx.URL) -> AgentReply | AgentFailure:
    """Read an answer of at most ANSWER_MAX bytes. Raises aiohttp.ClientError if it breaks off.

    The connection of an answer that was not read to its end is closed.
    """
    is_success = 200 <= response.status < 300
    try:
        content = await content_of(response)
    except Unreadable as reason:
        if is_success:
            return AgentReply(not_understood=str(reason))
        error = f"the agent answered {response.status} with {reason}"
        return AgentFailure(error, doubt=_may_have_run(response), status=response.status)
    except Damaged as reason:
        return doubt(f"the agent's answer broke: {reason}")
    if is_success:
        reply = generic.read_answer(_header(response, "content-type"), content)
        return announced(reply, response.status)
    return AgentFailure(
        f"the agent answered {response.status}" + _advice(response, url),
        dead=response.status in DEAD_STATUSES,
        retry_after_s=retry_after(_header(response, "retry-after")),
        doubt=_may_have_run(response),
        status=response.status,
    )


def _may_have_run(response: aiohttp.ClientResponse) -> bool:
    """Return True for an error behind which the agent may have done its work. 503 is that of one that has not."""
    return response.status >= 500 and response.status != 503


def _header(response: aiohttp.ClientResponse, name: str) -> str:
    """Return the values of a header with commas between, or an empty text. What is not UTF-8 is read as Latin-1."""
    value = ", ".join(response.headers.getall(name, ()))
    if value.isascii():
        return value
    packed = value.encode(errors="surrogateescape")
    try:
        return packed.decode()
    except UnicodeDecodeError:
        return packed.decode("latin-1")


async def content_of(response: aiohttp.ClientResponse) -> bytes:
    """Return the body of an answer. Raises Unreadable, Damaged, or aiohttp.ClientError if it breaks off."""
    content = bytearray()
    try:
        coding = _coding(_header(response, "content-encoding")) if "content-encoding" in response.headers else None
        while chunk := await response.content.readany():
            content += chunk
            if len(content) > ANSWER_MAX:
                raise _too_long()
    except AnswerTooLong:
        response.close()
        raise _too_long() from None
    except BaseException:
        response.close()
        raise
    return bytes(content) if coding is None else _unpack(content, coding)


def _too_long() -> Unreadable:
    return Unreadable(f"an answer longer than {ANSWER_MAX} bytes")


def _coding(header: str) -> str | None:
    """Return the one content coding to unpack, or None. Raises Unreadable for others, and for two layers.

    Each layer multiplies what a small answer can grow to, and none was asked for.
    """
    codings = [word for part in header.split(",") if (word := part.strip().lower()) not in ("", "identity")]
    if any(coding in UNREADABLE for coding in codings) or len(codings) > 1:
        raise Unreadable(f"content-encoding {', '.join(codings)[:60]!r}, which was not asked for")
    return codings[0] if codings and codings[0] in WINDOW_BITS else None


def _unpack(packed: bytearray, coding: str) -> bytes:
    """Unpack one layer, at most ANSWER_MAX bytes. Raises Unreadable, or Damaged for broken data."""
    if not packed:
        return b""
    try:
        try:
            return _inflate(packed, WINDOW_BITS[coding])
        except zlib.error:
            if coding != "deflate":
                raise
            return _inflate(packed, -zlib.MAX_WBITS)  # some servers send deflate without its zlib header
    except zlib.error as error:
        raise Damaged(f"its {coding} data is broken ({error})") from None


def _inflate(packed: bytearray, window_bits: int) -> bytes:
    unpacker = zlib.decompressobj(window_bits)
    content = unpacker.decompress(packed, ANSWER_MAX + 1)
    if len(content) > ANSWER_MAX:
        raise _too_long()
    if not unpacker.eof:
        raise zlib.error("it ends too early")
    return content


def _advice(response: aiohttp.ClientResponse, url: httpx.URL) -> str:
    status = response.status
    if status in (301, 302, 303, 307, 308):
        return f": AGENT_URL redirects{redirect_target(response, url)}, which is not followed; set the final address"
    if status == 404 and "/webhook-test/" in url.path:
        return ": AGENT_URL is n8n's test address; set the production address (/webhook/...) and switch the workflow on"
    hints = {
        101: ": it changes to another protocol; AGENT_URL must be an HTTP address",
        401: ": it wants credentials that AGENT_URL does not carry",
        404: ": is the workflow switched on and AGENT_URL its production address?",
        405: ": it takes no POST at AGENT_URL",
        409: ": it is still at work on this flush",
        422: ": it took the same Idempotency-Key for another body, or rejects the body",
    }
    return hints.get(status, "")


def redirect_target(response: aiohttp.ClientResponse, url: httpx.URL) -> str:
    """Return ` to <scheme and host>`, or an empty text. The rest of an address may be secret."""
    location = _header(response, "location")
    if not location:
        return ""
    try:
        found = url.join(location)
    except (httpx.InvalidURL, ValueError):
        return ""
    return f" to {found.scheme}://{found.netloc.decode('ascii', 'replace')}"[:200] if found.host else ""
