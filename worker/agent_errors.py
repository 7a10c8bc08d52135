"""What an error of a call means, in a sentence for the log that says where to look."""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl

import aiohttp
import httpx

from gateways.masking import mask_numbers

SPEAK_FOR_THEMSELVES = (socket.gaierror, ssl.SSLError, aiohttp.ClientConnectorDNSError)
"""Errors whose numbers are not those of the operating system."""

QUOTED = re.compile("""b?['"`]""")

NO_DESCRIPTOR = {errno.EMFILE, errno.ENFILE}
NO_BUFFER = {errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EAGAIN}


def not_reached(
    error: BaseException, url: httpx.URL, connect_timeout_s: float, who: str = "the agent", setting: str = "AGENT_URL"
) -> str:
    """Return a sentence for an error that came before the call had a connection."""
    name = f"{url.host} in {setting}"
    return f"{who} cannot be reached: {_reason(error, _address(url), name, connect_timeout_s)}"


def is_ours(error: BaseException) -> bool:
    """Return True for an error of this machine, which says nothing about the agent."""
    codes = {cause.errno for cause in chain_of(error) if isinstance(cause, OSError)}
    return bool(codes & (NO_DESCRIPTOR | NO_BUFFER))


def _reason(error: BaseException, address: str, name: str, connect_timeout_s: float) -> str:
    causes = chain_of(error)
    codes = {cause.errno for cause in causes if isinstance(cause, OSError)}
    reasons = [
        (bool(codes & NO_DESCRIPTOR), "this process has no file descriptor left: raise its limit, ulimit -n"),
        (_any(causes, aiohttp.ClientConnectorDNSError, socket.gaierror), f"the name {name} is not known"),
        (_any(causes, ssl.SSLError, ssl.CertificateError), f"there is no TLS connection to {address}"),
        (errno.ECONNREFUSED in codes, f"nobody listens at {address}"),
        (bool(codes & NO_BUFFER), "this machine cannot open another connection"),
        (_any(causes, TimeoutError), f"{address} did not take the connection within {connect_timeout_s:g} s"),
        (True, f"no connection to {address}"),
    ]
    return next(f"{sentence} ({_words(causes)})" for applies, sentence in reasons if applies)


def _any(causes: list[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(cause, kinds) for cause in causes)


def broken(error: BaseException, who: str = "the agent") -> str:
    """Return a sentence for an error that came after the call had a connection."""
    if isinstance(error, aiohttp.ClientResponseError):
        return f"{who}'s answer is not HTTP: {_without_bytes(error.message)}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return f"the connection to {who} broke: it was closed before an answer"
    if isinstance(error, aiohttp.ClientPayloadError):
        return f"the connection to {who} broke: the answer is not complete"
    return f"the connection to {who} broke: {_without_bytes(str(error)) or type(error).__name__}"


def _without_bytes(words: str) -> str:
    """Return what aiohttp says of an answer, without the bytes of it that it quotes: they may be a text or a number."""
    return mask_numbers(QUOTED.split(words.strip().partition("\n")[0])[0].strip(" :"))[:200]


def chain_of(error: BaseException) -> list[BaseException]:
    """Return an error and everything that caused it: causes, contexts, and the members of groups."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop(0)
        if one is None or any(one is other for other in found):
            continue
        found.append(one)
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
    return found


def drop_tracebacks(error: BaseException) -> None:
    """Break the reference cycles error -> traceback -> request body of an error and of its causes.

    Without this, failed calls keep their bodies in memory until a full collection: gigabytes while an agent is away.
    """
    for cause in chain_of(error):
        cause.__traceback__ = None


def _address(url: httpx.URL) -> str:
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{host}:{url.port or (443 if url.scheme == 'https' else 80)}"


def _words(causes: list[BaseException]) -> str:
    """Return the innermost words of the operating system, of the resolver or of TLS."""
    system = [cause for cause in causes if isinstance(cause, OSError) and cause.strerror]
    if not system:
        return (str(causes[-1]) or type(causes[-1]).__name__)[:200]
    cause = system[-1]
    if isinstance(cause, SPEAK_FOR_THEMSELVES) or not cause.errno:
        return str(cause.strerror)[:200]
    return os.strerror(cause.errno).lower()  # asyncio puts other words there: "Connect call failed"
