"""What is no answer reaches no person, though the agent says 200: exact bodies, as each kind sends them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.gateway_stubs.evolution import EvolutionStub
from tests.integration.agent import Answer
from tests.integration.deployment import Deployment
from tests.integration.polling import until
from tests.integration.reply_line import SENDS, ReplyLine

PAGE = b'<!DOCTYPE html>\n<html lang="en"><head><title>Sign in</title></head><body><h1>n8n</h1></body></html>'
STREAM = (
    b'{"type":"begin","metadata":{"nodeId":"a","nodeName":"AI Agent","itemIndex":0,"runIndex":0,"timestamp":1}}\n'
    b'{"type":"item","content":"Half","metadata":{"nodeId":"a","nodeName":"AI Agent","itemIndex":0,"runIndex":0}}\n'
    b'{"type":"error","content":"Problem in node AI Agent","metadata":{"nodeId":"a","nodeName":"AI Agent"}}\n'
)
N8N = [
    Answer(200, b'{"message":"Workflow was started"}', "application/json; charset=utf-8"),
    Answer(200, b'{"message":"Workflow executed successfully but no data was returned"}', "application/json"),
    Answer(200, b'{"message":"Webhook call received"}', "application/json"),
    Answer(200, b"Workflow was started", "text/plain"),
    Answer(200, PAGE, "text/html; charset=utf-8"),
    Answer(200, PAGE, "application/json"),
    Answer(200, PAGE, "text/plain"),
    Answer(200, b"", "application/json"),
    Answer(204),
    Answer(200, STREAM, "application/json; charset=utf-8"),
    Answer(200, b"\x89PNG\r\n\x1a\n", "image/png"),
    Answer(
        404, b'{"code":404,"message":"The requested webhook \\"POST bot\\" is not registered."}', "application/json"
    ),
    Answer(500, b'{"message":"Error in workflow"}', "application/json"),
]
"""What n8n, or a proxy before it, answers when the workflow has said nothing."""

QUOTA = {"event": "error", "status": 400, "code": "provider_quota_exceeded", "message": "Your quota is exhausted."}
UNFINISHED = [
    b'data: {"event":"message","conversation_id":"0c6f2a3e-54a1-4c39-9a52-0d8a3a6b7c11","answer":"Half an ans"}\n\n',
    b"event: ping\n\n",
]
DIFY = [
    Answer(200, b"".join(UNFINISHED) + b"data: " + json.dumps(QUOTA).encode() + b"\n\n", "text/event-stream"),
    Answer(200, b"".join(UNFINISHED), "text/event-stream; charset=utf-8"),
    Answer(200, PAGE, "text/html"),
    Answer(200, PAGE, "text/event-stream"),
    Answer(400, json.dumps({**QUOTA, "status": 400}).encode(), "application/json"),
]
ANSWERS = {
    "n8n": Answer(200, b'{"output":"answered"}', "application/json"),
    "dify": Answer(
        200,
        b'data: {"event":"message","conversation_id":"0c6f2a3e-54a1-4c39-9a52-0d8a3a6b7c11","answer":"answered"}\n\n'
        b'data: {"event":"message_end"}\n\n',
        "text/event-stream",
    ),
}


@pytest.fixture
def stub() -> Iterator[EvolutionStub]:
    one = EvolutionStub()
    one.open()
    yield one
    one.close()


@pytest.mark.parametrize(("kind", "answers"), [("n8n", N8N), ("dify", DIFY)])
def test_what_is_no_answer(
    stub: EvolutionStub, start_deployment: Callable[..., Deployment], kind: str, answers: list[Answer]
) -> None:
    """Nobody hears anything. Then the agent answers the next person, who hears that alone."""
    settings: dict[str, Any] = {**SENDS, "evolution_url": stub.url, "agent_kind": kind, "agent_max_attempts": 1}
    deployment = start_deployment(**settings, agent_key="app-key" if kind == "dify" else "", agent_repeat="always")
    way, agent = ReplyLine(deployment, stub), deployment.agent
    deployment.worker()
    for number, answer in enumerate(answers):
        agent.default, before = answer, len(agent.calls)
        way.say(f"55119000001{number:02}", "oi")
        until("the agent is asked", lambda: len(agent.calls) > before)  # noqa: B023 - called at once
    settled = ("acked", "agent_failures")
    until("each has ended", lambda: sum(deployment.counters()[name] for name in settled) >= len(answers))
    assert stub.journal == []
    agent.default = ANSWERS[kind]
    way.say("5511900000099", "oi")
    way.wait_heard("5511900000099", ["answered"])
