"""No number and no text in what is shown without a token: metrics, admin API, RQ's keys, command line, and all logs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from gateways.registry import GATEWAYS
from tests.gateway_stubs.evolution import KEY
from tests.gateway_stubs.faults import Fault
from tests.integration.agent import Answer
from tests.integration.deployment import Deployment
from tests.integration.polling import until
from tests.integration.processes import Webhook
from tests.integration.reply_line import AnyInstanceStub, replying
from tests.integration.rq_view import everything_in_rq
from tests.integration.test_gateways_endpoint import POSTED
from tests.recorded_bodies import body_of, described, expected_of
from tests.signing import OPEN, SECRET, sign

PEOPLE = ("conversation", "conversation_alt", "sender", "participant", "from")
SAID = ("text", "sender_name", "caption", "filename", "transcript")
DIGITS_MIN, TEXT_MIN = 8, 8
"""A shorter number or text may stand anywhere by chance."""

OF_AGENT = "o pedido sai na quinta"
NUMBER_OF_AGENT, SPACED = "5511900000077", "+55 11 90000-0078"
DIES, DOUBTED, WAITS = "5511900000071", "5511900000072", "5511900000073"
PAGES = (
    *("/", "/docs", "/openapi.json", "/healthz", "/readyz", "/metrics", "/nothing"),
    *("/conversations", "/flushes?limit=200", "/dead-letters", "/dead-letters/export", "/replies/doubts"),
    *(f"/conversations/{DIES}", f"/dead-letters/{DIES}", f"/conversations?cursor={DIES}", f"/flushes?ref={DIES}"),
)
COMMANDS = ("status", "pending", "flushes", "dead", "doubt", "stats")


def of_case(gateway: str, case: str) -> Iterator[str]:
    """Yield the numbers and texts of a recorded body that are long enough to be searched for."""
    expected = expected_of(gateway, case)
    for message in expected if isinstance(expected, list) else []:
        who = " ".join(str(message.get(name, "")) for name in (*PEOPLE, "channel"))
        yield from re.findall(rf"\d{{{DIGITS_MIN},}}", who)
        yield from (str(message[name]) for name in SAID if len(str(message.get(name) or "")) >= TEXT_MIN)


SECRETS = {
    *(one for case in POSTED for one in of_case(*case)),
    *(DIES, DOUBTED, WAITS, OF_AGENT, NUMBER_OF_AGENT, SPACED, SECRET, KEY),
}


def say(webhook: Webhook, person: str, *texts: str) -> None:
    """Post texts of a person through Evolution."""
    for number, text in enumerate(texts):
        key = {"remoteJid": f"{person}@s.whatsapp.net", "fromMe": False, "id": f"3EB0{person}{number:05}"}
        data = {"key": key, "pushName": OF_AGENT, "message": {"conversation": text}, "messageTimestamp": 1_749_766_101}
        body = {"event": "messages.upsert", "instance": "loja", "data": data | {"messageType": "conversation"}}
        assert post(webhook, "evolution", "/webhooks/evolution", json.dumps(body).encode()) == 200


def post(webhook: Webhook, gateway: str, path: str, body: bytes) -> int:
    """Post a signed body of a gateway. Return the status."""
    form = {"content-type": "application/x-www-form-urlencoded"} if gateway == "twilio" else {}
    signed = sign(gateway, path, body)
    headers = {"content-type": "application/json", **form, **signed.headers}
    return webhook.client.post(
        f"http://127.0.0.1:{webhook.port}{signed.path}", content=body, headers=headers
    ).status_code


def post_all(webhook: Webhook) -> None:
    """Post every recorded body, and some that are refused."""
    posted = set()
    for gateway, case in POSTED:
        body = body_of(gateway, case)
        if gateway in ("zapi", "telegram", "uazapi"):
            headers = described(gateway, case)["headers"]
            path = described(gateway, case)["path"]
            posted.add(gateway)
            url = f"http://127.0.0.1:{webhook.port}{urlsplit(path).path}?token={SECRET}"
            webhook.client.post(url, content=body, headers=headers | {"X-Telegram-Bot-Api-Secret-Token": SECRET})
        elif post(webhook, gateway, urlsplit(described(gateway, case)["path"]).path, body) == 200:
            posted.add(gateway)
    for gateway in GATEWAYS:
        post(webhook, gateway, f"/webhooks/{gateway}", urlencode({"From": DIES, "Body": OF_AGENT}).encode())
        post(webhook, gateway, f"/webhooks/{gateway}?token={DIES}", f'{{"{DIES}": "{OF_AGENT}"}}'.encode())
        webhook.client.post(f"http://127.0.0.1:{webhook.port}/webhooks/{gateway}", content=OF_AGENT.encode())
    assert post(webhook, "generic", "/webhooks/generic", generic(NUMBER_OF_AGENT)) == 200
    assert post(webhook, "generic", f"/webhooks/generic/{SPACED.replace('+', '%2B')}", generic(SPACED)) == 200
    assert posted | {"generic"} == set(GATEWAYS)


def generic(person: str) -> bytes:
    return json.dumps({"conversation": person, "text": OF_AGENT, "sender_name": OF_AGENT}).encode()


def refuse(number: int) -> Fault | None:
    """Refuse every third message with words that repeat the number, lose the response to another."""
    words = {"message": f"{DIES} ({SPACED}) has no WhatsApp", "exists": False, "number": f"{DIES}@s.whatsapp.net"}
    return {0: Fault("status", status=400, body=words), 1: Fault("lost")}.get(number % 3)


def shown(webhook: Webhook, deployment: Deployment) -> dict[str, str]:
    """Return all that is shown to somebody without a token, by its source."""
    found = {page: webhook.get(page).text for page in PAGES}
    for listed, name in (("/conversations", "ref"), ("/dead-letters", "flush_id")):
        for item in webhook.get(f"{listed}?limit=200").json()["items"]:
            found[f"{listed}/{item[name]}"] = webhook.get(f"{listed}/{item[name]}").text
    for wrong in (
        {"gateway": DIES},
        {DIES: OF_AGENT},
        [DIES],
        {"gateway": "evolution", "channel": [DIES], "id": OF_AGENT},
    ):
        url = f"http://127.0.0.1:{webhook.port}/conversations/erase"
        found[f"erase {wrong}"] = webhook.client.post(url, json=wrong).text
    found["RQ"] = everything_in_rq(deployment)
    for command in COMMANDS:
        for options in ((), ("--json",)):
            process = deployment.run([sys.executable, "-m", "cli", command, *options])
            process.wait()
            found[f"debouncer {command} {options}"] = process.log
    return found


@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
def test_no_number_and_no_text_is_shown(
    start_deployment: Callable[..., Deployment], gateway: AnyInstanceStub, level: str
) -> None:
    """All gateways, dead letters, doubts, refusals and errors that repeat numbers leave none of them anywhere."""
    settings: dict[str, Any] = {**OPEN, "evolution_url": gateway.url, "evolution_api_key": KEY, "groups_enabled": True}
    deployment = start_deployment(**settings, log_level=level, message_buffer_timeout=0.5, agent_max_attempts=2)
    gateway.fault_of = refuse
    deployment.agent.default = replying(OF_AGENT, {NUMBER_OF_AGENT: OF_AGENT}, f"ligue {SPACED}")
    deployment.agent.answer(DIES, Answer(400, f"{DIES} {OF_AGENT}".encode(), f"text/{DIES}"))
    webhook, worker = deployment.webhook(), deployment.worker()
    post_all(webhook)
    say(webhook, DIES, OF_AGENT)
    say(webhook, DOUBTED, OF_AGENT, "oi")
    until("dead letters and doubts", lambda: has(webhook, "/dead-letters") and has(webhook, "/replies/doubts"))
    until("all was called", lambda: deployment.agent.calls_of(DOUBTED) and deployment.agent.calls_of(DIES))
    say(webhook, WAITS, OF_AGENT)
    ref = webhook.get("/conversations").json()["items"][-1]["ref"]
    webhook.client.post(f"http://127.0.0.1:{webhook.port}/conversations/{ref}/pause")
    found = shown(webhook, deployment)
    for process in (webhook, worker):
        process.terminate()
        process.wait()
        found[f"log of {type(process).__name__}"] = process.log
    assert "5511*******71" in found["/dead-letters"]
    assert "dead letter" in found["log of Worker"]
    leaks = {f"{one} in {where}" for where, text in found.items() for one in SECRETS if one in text}
    assert not leaks, "\n".join(sorted(leaks))


def has(webhook: Webhook, listed: str) -> bool:
    return bool(webhook.get(listed).json()["items"])
