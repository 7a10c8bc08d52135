"""A whole way round: a person writes through Evolution, the agent answers, and a stub of Evolution gets the parts."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from buffer.reply_models import Doubt
from buffer.reply_store import Replies
from buffer.store import Store
from tests.gateway_stubs.evolution import KEY, EvolutionStub
from tests.integration.agent import Answer, Call
from tests.integration.deployment import Deployment
from tests.integration.polling import until
from tests.integration.processes import Webhook

INSTANCE = "loja"
PAGE = 500
GROUP = "120363040000000001@g.us"

SENDS: dict[str, object] = {"evolution_api_key": KEY, "message_buffer_timeout": 0.3, "retry_base": 0.2}
"""Settings under which replies are sent; `evolution_url` is the address of the stub."""


def replying(*parts: object, **fields: object) -> Answer:
    """An agent's answer with these parts."""
    body = json.dumps({"replies": parts, **fields}).encode()
    return Answer(200, body, "application/json")


class AnyInstanceStub(EvolutionStub):
    """Every path names an instance of its own."""

    def _check_head(self, received: Any) -> None:
        self.instance = received.found[0]
        super()._check_head(received)


class ReplyLine:
    """One deployment with a gateway for its replies."""

    def __init__(self, deployment: Deployment, stub: EvolutionStub, instance: str = INSTANCE) -> None:
        self.deployment = deployment
        self.stub = stub
        self.instance = instance
        self.name = "Ana"
        self.webhook: Webhook = deployment.webhook()
        self._ids = itertools.count(1)

    def say(self, person: str, *texts: str, group: str | None = None, instance: str | None = None) -> list[str]:
        """Post messages of a person, in a group or not. Returns their ids."""
        return [self._say(person, text, group, instance or self.instance) for text in texts]

    def _say(self, person: str, text: str, group: str | None, instance: str) -> str:
        message_id = f"3EB0{next(self._ids):018X}"
        jid = f"{person}@s.whatsapp.net"
        key = {"remoteJid": group or jid, "fromMe": False, "id": message_id} | ({"participant": jid} if group else {})
        data = {
            "key": key,
            "pushName": self.name,
            "message": {"conversation": text},
            "messageType": "conversation",
            "messageTimestamp": 1_749_766_101,
        }
        body = {"event": "messages.upsert", "instance": instance, "data": data}
        url = f"http://127.0.0.1:{self.webhook.port}/webhooks/evolution"
        answer = self.webhook.client.post(url, json=body)
        assert answer.status_code == 200, answer.text
        return message_id

    def hears(self, person: str) -> list[str]:
        """What a person got so far, in order."""
        return self.stub.texts(person)

    def wait_heard(self, person: str, texts: Sequence[str]) -> None:
        """Wait until a person got these texts, in this order and no others."""
        until(f"{person} hears {texts}, and not {self.hears(person)}", lambda: self.hears(person) == list(texts))

    def wait_idle(self) -> None:
        """Wait until nothing is pending any more."""
        self.deployment.wait_drained()

    def calls_of(self, person: str) -> list[Call]:
        """The agent's calls for a person."""
        return self.deployment.agent.calls_of(person)

    def doubts(self) -> list[Doubt]:
        """The parts in doubt."""
        return self.deployment.ask(lambda store: _doubts(store))

    def dead(self) -> list[Any]:
        """The dead letters."""
        return self.deployment.ask(lambda store: _dead(store))

    def counters(self) -> Counter[str]:
        """The counters of the buffer."""
        return self.deployment.counters()


async def _doubts(store: Store) -> list[Doubt]:
    return await _all_pages(lambda offset: Replies(store).doubts(0, offset, PAGE))


async def _dead(store: Store) -> list[Any]:
    return await _all_pages(lambda offset: store.dead_letters(0, offset, PAGE))


async def _all_pages(read: Callable[[int], Awaitable[Any]]) -> list[Any]:
    found: list[Any] = []
    while page := (await read(len(found))).page:
        found += page
    return found
