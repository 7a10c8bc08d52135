"""Calls the agent over HTTP, and reads from the response whether it accepted the batch."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Coroutine
from functools import cache
from typing import Any

import aiohttp
import httpx

from agents import generic
from agents.burst_body import render_burst
from agents.results import AgentFailure, AgentReply, doubt
from buffer.models import Batch, PostedAnswer
from config.settings import Settings, require
from gateways.standard_webhooks import signature_headers, signing_key
from worker import agent_answer, agent_errors
from worker.agent_connection import CONNECT_TIMEOUT_S, Pool, connected, open_session
from worker.circuit import circuit_of
from worker.tracing import trace_headers


class Agent:
    """The agent at AGENT_URL, reached through one pool of connections per process."""

    def __init__(self, settings: Settings) -> None:
        url = httpx.URL(require(settings.agent_url, "AGENT_URL"))
        self._url = url.copy_with(userinfo=b"", fragment=None)
        self._address = str(self._url)
        self.circuit = circuit_of(settings)
        self._headers = _fixed_headers(url)
        self._timeout_s = settings.agent_timeout
        self._secret = signing_key(settings.agent_secret.get_secret_value()) if settings.agent_secret else None
        self._connections_max = settings.worker_concurrency
        self._ssl_context = ssl_context(url)
        self._session: aiohttp.ClientSession | None = None

    def ask(self, batch: Batch) -> Coroutine[Any, Any, AgentReply | AgentFailure]:
        """Deliver one batch, in the way of the agent's kind. Raises no error of the agent or the network."""
        return self.call(batch, render_burst(batch))

    async def call(self, batch: Batch, body: bytes) -> AgentReply | AgentFailure:
        """Deliver one batch with this body. Return an AgentFailure for every error of the agent or the network."""
        connected.set(False)
        session = self._session or self._open()
        headers = self._headers_of(batch, body)
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await session.request(
                    "POST", self._address, data=body, headers=headers, allow_redirects=False
                )
                return await agent_answer.read(response, self._url)
        except aiohttp.ClientError as error:  # before TimeoutError, which aiohttp's own timeouts are too
            return self._failed(error)
        except TimeoutError:
            return self._timed_out()
        except (OSError, UnicodeError) as error:
            return self._failed(error)

    def read_late(self, batch: Batch, posted: PostedAnswer) -> AgentReply:
        """Read the answer that the agent has posted."""
        return generic.read_answer(*posted)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        self._session = open_session(self._headers, Pool(self._connections_max), self._ssl_context)
        return self._session

    def _timed_out(self) -> AgentFailure:
        limit = f"within AGENT_TIMEOUT={self._timeout_s:g} s"
        if connected.get():
            return doubt(f"the agent did not answer {limit}")
        return AgentFailure(f"the agent cannot be reached: there was no connection {limit}", sent=False)

    def _failed(self, error: Exception) -> AgentFailure:
        """Return the failure for an error. A call that never had a connection was surely not sent."""
        try:
            if connected.get():
                return doubt(agent_errors.broken(error))
            sentence = agent_errors.not_reached(error, self._url, CONNECT_TIMEOUT_S)
            return AgentFailure(sentence, sent=False, ours=agent_errors.is_ours(error))
        finally:
            agent_errors.drop_tracebacks(error)

    def _headers_of(self, batch: Batch, body: bytes) -> dict[str, str]:
        """Return the headers that differ from call to call."""
        headers = {"idempotency-key": batch.flush_id, "debouncer-attempt": str(batch.attempt), **trace_headers()}
        if self._secret is not None:
            headers |= signature_headers(self._secret, batch.flush_id, int(time.time()), body)
        return headers


def ssl_context(url: httpx.URL) -> ssl.SSLContext:
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
        "accept-encoding": "identity",
    }
    if url.userinfo:
        signed = next(httpx.BasicAuth(url.username, url.password).auth_flow(httpx.Request("POST", url)))
        headers["authorization"] = signed.headers["authorization"]
    return headers
