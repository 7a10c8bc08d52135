"""The guides as a newcomer follows them: the lines of .env and the posts of the page, and the answer arrives."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

import httpx
import pytest

from cli.sample.kinds import SAMPLES
from tests.gateway_stubs import evolution, waha
from tests.gateway_stubs.base import GatewayStub
from tests.guide_pages import SECRET, bodies_of, env_of
from tests.integration.polling import until
from tests.integration.up import Up
from tests.sample_agents import served

ANA = "5511900000001"
Login = Callable[[bytes], dict[str, str]]


def bearer(_: bytes) -> dict[str, str]:
    return {"Authorization": f"Bearer {SECRET}"}


def signed(body: bytes) -> dict[str, str]:
    signature = hmac.new(SECRET.encode(), body, hashlib.sha512).hexdigest()
    return {"X-Webhook-Hmac": signature, "X-Webhook-Hmac-Algorithm": "sha512"}


STUBS: dict[str, tuple[type[GatewayStub], str, Login]] = {
    "evolution": (evolution.EvolutionStub, evolution.KEY, bearer),
    "waha": (waha.WahaStub, waha.KEY, signed),
}
"""The stand-ins of the gateways, their API keys, and how they log in at our webhook."""

STEPS = ("✅ Mensagem adicionada ao buffer", "🔄 Iniciando", "💬 Agente", "part sent")
"""The lines of the log that the guides have the reader look for."""


@pytest.mark.parametrize(("name", "gateway"), [("evolution-n8n", "evolution"), ("waha-openai", "waha")])
def test_guide_leads_to_an_answer(up: Callable[..., Up], name: str, gateway: str):
    """With the settings and posts of the guide, one burst reaches the agent, and its answer reaches the person."""
    stub, key, login = STUBS[gateway]
    env = env_of(name)
    kind = env["AGENT_KIND"]
    sample = SAMPLES[kind]
    agent = sample.agent()
    with served(agent) as agent_url, stub() as gateway_stub:
        others = {"AGENT_URL": agent_url + sample.path, f"{gateway.upper()}_URL": gateway_stub.url}
        settings = env | sample.settings | others | {f"{gateway.upper()}_API_KEY": key}
        service = up(**{setting.lower(): value for setting, value in settings.items() if setting != "HOST"})
        service.wait_up()
        bodies = [body.encode() for body in bodies_of(name)]
        for body in bodies:
            headers = {"Content-Type": "application/json", **login(body)}
            answer = httpx.post(f"http://127.0.0.1:{service.port}/webhooks/{gateway}", content=body, headers=headers)
            assert answer.json() == {"accepted": 1, "duplicates": 0, "ignored": 0}
        until("the person has the answer", lambda: gateway_stub.journal)
        assert list(agent.turns.values()) == [["\n".join(("oi", "tudo bem?")[: len(bodies)])]]
        assert [(entry.text, entry.conversation.partition("@")[0]) for entry in gateway_stub.journal] == [
            ("Turn 1. We have just met.", ANA)
        ]
        assert (agent.wrong, gateway_stub.violations) == ([], [])
        until("the log tells each step", lambda: all(step in service.log for step in STEPS))
