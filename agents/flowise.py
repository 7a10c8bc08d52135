"""The kind `flowise`: the prediction address of a chatflow or agentflow."""

from __future__ import annotations

from typing import Any

import orjson

from agents.base import AgentKind, AgentRequest, AgentResponse, Ask
from agents.http_errors import http_failure
from agents.memory import pack_memory, read_memory
from agents.results import AgentFailure, AgentReply, AgentResult, doubt, later, misconfigured
from agents.said import File, nothing, said
from agents.spoken import is_page, read_object, word
from gateways.sending import Part


def request(ask: Ask) -> AgentRequest:
    """Return the question. The session stands in both fields, because versions differ in which one they read."""
    session = read_memory(ask).session
    found = said(ask.batch, _can_open if ask.with_files else nothing)
    body: dict[str, Any] = {
        "question": found.text,
        "chatId": session,
        "overrideConfig": {"sessionId": session},
        "streaming": False,
    }
    if ask.batch.name:
        body["overrideConfig"]["vars"] = {"name": ask.batch.name}
    if found.files:
        body["uploads"] = [_upload(file) for file in found.files]
    headers = {"authorization": f"Bearer {ask.target.key}"} if ask.target.key else {}
    return AgentRequest(ask.target.url, orjson.dumps(body), headers)


def read(ask: Ask, response: AgentResponse) -> AgentResult:
    """Read a response. The answer's memory is the name of the session."""
    if not 200 <= response.status < 300:
        return _failed(response)
    fields = read_object(response)
    if is_page(response) or not fields:
        return AgentReply(not_understood="no JSON object: is AGENT_URL the address of /api/v1/prediction/?")
    structured = fields.get("json")
    text = word(fields, "text") or (orjson.dumps(structured).decode() if structured else "")
    memory = pack_memory(ask, read_memory(ask).session)
    if not text.strip():
        return AgentReply(not_understood=None if "text" in fields else "JSON without `text`", memory=memory)
    return AgentReply((Part(text=text),), memory=memory)


def _can_open(file: File) -> bool:
    return file.kind in ("image", "audio", "document") and bool(file.url or file.base64)


def _upload(file: File) -> dict[str, str]:
    kind = "url" if file.url else ("audio" if file.kind == "audio" else "file")
    return {"data": file.url or file.data_url, "type": kind, "name": file.name or file.kind, "mime": file.mime}


def _failed(response: AgentResponse) -> AgentFailure:
    if response.status == 412:
        return misconfigured("Flowise answered 412: AGENT_URL must end in /api/v1/prediction/ and the flow's id")
    if response.status != 500:
        return http_failure(response)
    message = word(read_object(response), "message")
    if any(name in message.lower() for name in ("api key", "apikey", "credential")):
        return misconfigured("Flowise answered 500: a credential of the flow is missing or wrong")
    if "rate limit" in message.lower():
        return later("Flowise answered 500: a rate limit")
    return doubt("Flowise answered 500: a node of the flow failed")


KIND = AgentKind(request, read)
