"""The kind `dify`: an app of Dify, always asked for a stream, because its agents answer no other way."""

from __future__ import annotations

import uuid
from typing import Any

import orjson

from agents.base import AgentKind, AgentRequest, AgentResponse, Ask, Look
from agents.dify_errors import dify_failure
from agents.dify_look import look_read, look_request
from agents.dify_stream import DifyStream
from agents.memory import pack_memory, read_memory
from agents.results import Again, AgentReply, AgentResult
from agents.said import nothing, said, with_address
from agents.spoken import is_page, read_object, word

ENDPOINT = "/chat-messages"
GONE = frozenset({"conversation_completed"})
FILE_KINDS = frozenset({"image", "document", "audio", "video"})


def base_of(url: str) -> str:
    """Return the address of the API, without the endpoint that somebody may have pasted with it."""
    return url.rstrip("/").removesuffix(ENDPOINT)


def conversation_of(ask: Ask) -> str:
    """Return the id of the conversation at Dify, an empty text before the first answer. Dify takes UUIDs alone."""
    kept = read_memory(ask).kept
    try:
        return str(uuid.UUID(kept)) if isinstance(kept, str) else ""
    except ValueError:
        return ""


def request(ask: Ask) -> AgentRequest:
    """Return the question. `user` never changes for a conversation: Dify shows it to nobody else.

    An app gets the inputs that it declares, and Dify drops the others.
    """
    found = said(ask.batch, with_address if ask.with_files else nothing)
    body: dict[str, Any] = {
        "inputs": {"name": ask.batch.name or "", "channel": ask.batch.conversation.channel},
        "query": found.text,
        "user": read_memory(ask).session,
        "response_mode": "streaming",
        "auto_generate_name": False,
    }
    if ask.batch.supersedes:
        body["inputs"]["supersedes"] = " ".join(ask.batch.supersedes)
    if conversation_id := conversation_of(ask):
        body["conversation_id"] = conversation_id
    if files := [file for file in found.files if file.kind in FILE_KINDS]:
        body["files"] = [{"type": file.kind, "transfer_method": "remote_url", "url": file.url} for file in files]
    return AgentRequest(base_of(ask.target.url) + ENDPOINT, orjson.dumps(body), headers_of(ask), streams=True)


def headers_of(ask: Ask) -> dict[str, str]:
    """Return the login."""
    return {"authorization": f"Bearer {ask.target.key}"}


def read(ask: Ask, response: AgentResponse) -> AgentResult:
    """Read a response that is whole: a failure, or the answer of a server that did not stream."""
    if not 200 <= response.status < 300:
        return failed(ask, response.status, read_object(response))
    if is_page(response):
        return AgentReply(not_understood="an HTML page: AGENT_URL must be the address of Dify's API, which ends in /v1")
    reader = DifyStream(ask, failed)
    if response.content_type == "text/event-stream":
        reader.feed(response.body)
    else:
        reader.take(read_object(response))
        reader.is_over = True
    return reader.result()


def failed(ask: Ask, status: int, error: dict[str, Any]) -> AgentResult:
    """Return the meaning of an error, of the response or of an event. A conversation that is gone begins anew."""
    code, message = word(error, "code"), word(error, "message")
    is_gone = code in GONE or (status == 404 and code == "not_found" and "conversation" in message.lower())
    if is_gone and conversation_of(ask):
        return Again("the conversation at Dify is gone", pack_memory(ask, read_memory(ask).session))
    if status in (413, 415) and ask.with_files and said(ask.batch, with_address).files:
        return Again("Dify does not take the file", ask.memory, with_files=False)
    return dify_failure(status, code, message)


KIND = AgentKind(request, read, lambda ask: DifyStream(ask, failed), Look(look_request, look_read))
