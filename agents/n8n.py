"""The kind `n8n`: a Webhook node or a public Chat Trigger of a workflow."""

from __future__ import annotations

from dataclasses import replace

import orjson

from agents.base import AgentKind, AgentRequest, AgentResponse, Ask
from agents.burst_body import render_burst
from agents.http_errors import http_failure
from agents.memory import pack_memory, read_memory
from agents.results import AgentFailure, AgentReply, AgentResult, doubt, later, misconfigured
from agents.said import nothing, said
from agents.spoken import read_object, read_spoken, word
from gateways.sending import Part

SILENT = frozenset(
    {
        "Workflow was started",
        "Workflow executed successfully but no data was returned",
        "Workflow executed successfully but the last node did not return any data",
        "Webhook call received",
    }
)
"""Sentences of n8n itself in a 200: the workflow said nothing."""

STREAM_TYPES = frozenset({"begin", "item", "end", "error"})
NOT_RUN = ("Workflow could not be started", "No item to return was found")


def request(ask: Ask) -> AgentRequest:
    """Return the generic body, with the names that a Chat Trigger and flows made for Evolution's own link read."""
    gateway, channel, peer = ask.batch.conversation
    last = ask.batch.messages[-1].fields if ask.batch.messages else {}
    names = {
        "action": "sendMessage",
        "sessionId": read_memory(ask).session,
        "chatInput": said(ask.batch, nothing).text,
        "remoteJid": f"{peer}@s.whatsapp.net" if gateway == "evolution" and peer.isdecimal() else peer,
        "pushName": ask.batch.name,
        "instanceName": channel,
        "keyId": last.get("message_id"),
    }
    headers = {"authorization": ask.target.key} if ask.target.key else {}
    return AgentRequest(ask.target.url, orjson.dumps(orjson.loads(render_burst(ask.batch)) | names), headers)


def read(ask: Ask, response: AgentResponse) -> AgentResult:
    """Read a response. The answer's memory is the name of the session."""
    result = _accepted(response) if 200 <= response.status < 300 else _failed(ask, response)
    if isinstance(result, AgentReply):
        return replace(result, memory=pack_memory(ask, read_memory(ask).session))
    return result


def _accepted(response: AgentResponse) -> AgentReply | AgentFailure:
    lines = [line for line in response.body.splitlines() if line.strip()]
    streamed = _streamed(lines) if lines else None
    return streamed or read_spoken(response, SILENT)


def _streamed(lines: list[bytes]) -> AgentReply | AgentFailure | None:
    """Read the lines of a workflow that streams, or return None for any other body."""
    events = [read_object(AgentResponse(200, {}, line)) for line in lines]
    if not all(isinstance(event.get("metadata"), dict) and event.get("type") for event in events):
        return None
    if not any(event["type"] in STREAM_TYPES for event in events):
        return None
    if any(event["type"] == "error" for event in events):
        return doubt("a node of the workflow failed: see its executions in n8n")
    text = "".join(word(event, "content") for event in events if event["type"] == "item")
    return AgentReply((Part(text=text),) if text.strip() else ())


def _failed(ask: Ask, response: AgentResponse) -> AgentFailure:
    status, message = response.status, word(read_object(response), "message")
    if status == 404:
        return misconfigured(f"n8n answered 404: {_not_registered(ask.target.url, response, message)}")
    if status == 428:
        return misconfigured("n8n answered 428: a credential of the workflow's trigger is not ready")
    if status == 500 and not any(sentence in message for sentence in NOT_RUN):
        return doubt("n8n answered 500: a node of the workflow failed; see its executions in n8n")
    if status == 500:
        return later(f"n8n answered 500: {message[:120]}")
    return http_failure(response)


def _not_registered(url: str, response: AgentResponse, message: str) -> str:
    if "/webhook-test/" in url:
        return (
            "AGENT_URL is n8n's test address, which works once after each click; set the production address "
            "(/webhook/...) and switch the workflow on"
        )
    if "not registered for POST" in message:
        return "the Webhook node takes another method; set it to POST"
    if not response.body.strip():
        return "the Chat Trigger is not public; switch on `Make Chat Publicly Available`"
    return "no active workflow has this address; switch the workflow on and compare the path"


KIND = AgentKind(request, read)
