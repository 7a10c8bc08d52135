"""Calls an agent of another kind than `generic`, through the functions of its kind (agents/)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import aiohttp

from agents.base import AgentKind, AgentRequest, AgentResponse, AgentTarget, Ask, Look, Missing, Running, Stream
from agents.kinds import KINDS
from agents.late import announced, read_late
from agents.results import AgentFailure, AgentReply, AgentResult, doubt, later, refused
from agents.thinking import without_thinking
from buffer.models import Batch, PostedAnswer
from config.logs import get_logger
from config.setting_types import milliseconds
from config.settings import Settings
from worker.agent import Agent
from worker.agent_answer import Damaged, Unreadable, content_of
from worker.agent_connection import CONNECT_TIMEOUT_S, Pool, StreamConnection, connected, open_session

AGAIN_MAX = 3
"""Requests of one attempt, when the agent says that nothing has run and another form may do."""

LOOK_EVERY_S = 5.0
"""Time between two looks at an agent that is still at work on the batch."""

SILENCE_MAX_S = 30.0
"""Longest silence inside a stream. Dify sends a sign of life every 10 s."""

STREAM_TIMEOUT = aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT_S, sock_read=SILENCE_MAX_S)
WHOLE_TIMEOUT = aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT_S)

log = get_logger()


class KindAgent(Agent):
    """An agent that is spoken to as its kind wants."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._name = settings.agent_kind
        self._kind: AgentKind = KINDS[self._name]
        self._target = target_of(settings, self._address)
        self._looks = settings.repeat == "look"

    async def ask(self, batch: Batch) -> AgentReply | AgentFailure:
        """Deliver one batch. Return an AgentFailure for every error of the agent or the network, and raise none."""
        connected.set(False)
        try:
            async with asyncio.timeout(self._timeout_s):
                result = await self._look_and_ask(Ask(self._target, batch, batch.memory))
        except aiohttp.ClientError as error:  # before TimeoutError, which aiohttp's own timeouts are too
            return self._failed(error)
        except TimeoutError:
            return self._timed_out()
        except (OSError, UnicodeError) as error:
            return self._failed(error)
        return without_thinking(result) if isinstance(result, AgentReply) and self._target.strip_think else result

    def read_late(self, batch: Batch, posted: PostedAnswer) -> AgentReply:
        """Read the answer that the agent has posted."""
        reply = read_late(self._name, Ask(self._target, batch, batch.memory), *posted)
        return without_thinking(reply) if self._target.strip_think else reply

    async def _look_and_ask(self, ask: Ask) -> AgentReply | AgentFailure:
        """Ask the agent, unless a look shows that it has answered already."""
        if self._looks and self._kind.look and ask.batch.attempt > 1:
            found = await self._look(self._kind.look, ask)
            if found is not None:
                return found
        result: AgentResult = await self._exchange(ask)
        for _ in range(AGAIN_MAX - 1):
            if isinstance(result, AgentReply | AgentFailure):
                return result
            log.warning("the agent is asked once again", flush_id=ask.batch.flush_id, reason=result.why)
            ask = replace(ask, memory=result.memory, with_files=ask.with_files and result.with_files)
            result = await self._exchange(ask)
        return result if isinstance(result, AgentReply | AgentFailure) else refused(result.why)

    async def _look(self, look: Look, ask: Ask) -> AgentReply | AgentFailure | None:
        """Return the answer that the agent has given, or None if it has to be asked.

        An agent that is at work on the batch gets half of AGENT_TIMEOUT to finish.
        """
        clock = asyncio.get_running_loop().time
        until_s = clock() + self._timeout_s / 2
        while True:
            try:
                found = await self._look_once(look, ask)
            except (aiohttp.ClientError, OSError, Unreadable, Damaged):
                return later("the agent does not tell whether it has answered")
            if not isinstance(found, Running):
                return found if isinstance(found, AgentReply) else None
            if clock() + LOOK_EVERY_S > until_s:
                return None
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look_once(self, look: Look, ask: Ask) -> AgentReply | Missing | Running:
        request = look.request(ask)
        for _ in range(AGAIN_MAX):
            found = look.read(ask, request, await _whole(await self._send(ask, request)))
            if not isinstance(found, AgentRequest):
                return found
            request = found
        return Missing()

    async def _exchange(self, ask: Ask) -> AgentResult:
        """Make one request and read its answer."""
        request = self._kind.request(ask)
        response = await self._send(ask, request)
        is_stream = request.streams and response.status == 200 and "event-stream" in response.content_type
        if is_stream and self._kind.stream is not None:
            return await _read_stream(self._kind.stream(ask), response)
        try:
            return _with_status(self._kind.read(ask, await _whole(response)), response.status)
        except Unreadable as reason:
            if 200 <= response.status < 300:
                return AgentReply(not_understood=str(reason))
            failure = doubt if response.status >= 500 else later
            return _with_status(failure(f"the agent answered {response.status} with {reason}"), response.status)
        except Damaged as reason:
            return doubt(f"the agent's answer broke: {reason}")

    async def _send(self, ask: Ask, request: AgentRequest) -> aiohttp.ClientResponse:
        connected.set(False)
        session = self._session or self._open()
        headers = self._headers_of(ask.batch, request.body) | dict(request.headers)
        timeout = STREAM_TIMEOUT if request.streams else WHOLE_TIMEOUT
        return await session.request(
            request.method,
            request.url,
            data=request.body or None,
            headers=headers,
            allow_redirects=False,
            timeout=timeout,
        )

    def _open(self) -> aiohttp.ClientSession:
        pool = Pool(self._connections_max)
        self._session = open_session(self._headers, pool, self._ssl_context, StreamConnection)
        return self._session


def target_of(settings: Settings, url: str) -> AgentTarget:
    """Return what the route says of its agent."""
    return AgentTarget(
        url,
        settings.agent_key.get_secret_value() if settings.agent_key else "",
        settings.agent_model or "",
        settings.agent_system_prompt or "",
        settings.agent_params_object,
        settings.agent_memory_turns,
        settings.agent_memory_bytes,
        milliseconds(settings.agent_memory_ttl),
        settings.agent_strip_think,
    )


def _with_status(result: AgentResult, status: int) -> AgentResult:
    if isinstance(result, AgentReply):
        return announced(result, status)
    return replace(result, status=status) if isinstance(result, AgentFailure) else result


async def _whole(response: aiohttp.ClientResponse) -> AgentResponse:
    """Read a response to its end. Raises Unreadable, Damaged, or aiohttp.ClientError if it breaks off."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return AgentResponse(response.status, headers, await content_of(response))


async def _read_stream(stream: Stream, response: aiohttp.ClientResponse) -> AgentResult:
    """Read a stream to its end. One that breaks off is read as far as it came."""
    try:
        while chunk := await response.content.readany():
            if stream.feed(chunk):
                break
    except aiohttp.ClientError:
        pass
    finally:
        response.close()
    return stream.result()
