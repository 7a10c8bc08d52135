"""Typing events on their way from a gateway's body to the store: every recorded one, and groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from buffer.models import Conversation
from config.settings import Settings
from gateways.base import Headers, Request
from gateways.registry import GATEWAYS
from tests.recorded_bodies import CASES, body_of, expected_of
from webhook.ingest import Ingest
from webhook.responses import Response

TYPING_CASES = [case for case in CASES if "presence" in case[1] or "typing" in case[1]]
KINDS = {
    "composing": "typing",
    "recording": "typing",
    "paused": "stopped",
    "available": "stopped",
    "unavailable": "stopped",
}


class Store:
    """A store that keeps the signals, and says that each changed something."""

    def __init__(self) -> None:
        self.signals: list[tuple[Conversation, str]] = []

    async def presence(self, conversation: Conversation, kind: str, settings: Settings) -> int:
        self.signals.append((conversation, kind))
        return 1


def make_store() -> Any:
    return Store()


class Door:
    """An ingest that takes every body, in front of a store."""

    def __init__(self, settings: Settings) -> None:
        self.store = make_store()
        self.ingest = Ingest(settings)
        self.ingest.accept_into(self.store)

    async def post(self, gateway: str, body: bytes) -> dict[str, int]:
        """Post one body. Return the counts of the response."""
        responses: list[Response] = []
        rest = self.ingest.handle(GATEWAYS[gateway], Request(Headers({}), {}, "", body), responses.append)
        assert rest is not None
        await rest
        counts: dict[str, int] = orjson.loads(responses[0].body)
        return counts


@pytest.fixture
def door(make_settings: Callable[..., Settings]) -> Door:
    return Door(make_settings(webhook_allow_unsigned=True))


@pytest.mark.parametrize(("gateway", "case"), TYPING_CASES)
async def test_every_recorded_event_is_a_signal(door: Door, gateway: str, case: str):
    """Composing and recording are typing, and all other states are its end, of the person that the body names."""
    told = expected_of(gateway, case)["presence"]
    counts = await door.post(gateway, body_of(gateway, case))
    who = Conversation(told["gateway"], told["channel"], told["conversation"])
    assert door.store.signals == [(who, KINDS[told["state"]])]
    assert counts == {"accepted": 1, "duplicates": 0, "ignored": 0}


def test_every_gateway_that_tells_has_a_recorded_event():
    """The gateways of docs/gateways.md that tell who types, but for our own format, whose body is in the test below."""
    assert {gateway for gateway, _ in TYPING_CASES} == {"evolution", "waha", "zapi", "uazapi", "chatwoot"}


@pytest.mark.parametrize(("typing", "kind"), [(True, "typing"), (False, "stopped")])
async def test_our_own_format(door: Door, typing: bool, kind: str):
    """`typing` in place of a message is a signal, too."""
    await door.post("generic", orjson.dumps({"conversation": "ana", "typing": typing}))
    assert door.store.signals == [(Conversation("generic", "default", "ana"), kind)]


async def test_the_end_in_a_group_lets_nothing_go(door: Door):
    """In a group another person may still be typing: the hold ends by itself."""
    jid, author = "120363040000000001@g.us", "5511900000001@s.whatsapp.net"
    for state in ("available", "composing"):
        data = {"id": jid, "presences": {author: {"lastKnownPresence": state}}}
        body = orjson.dumps({"event": "presence.update", "instance": "loja", "data": data})
        counts = await door.post("evolution", body)
        assert counts["accepted"] == (state == "composing")
    assert door.store.signals == [(Conversation("evolution", "loja", jid), "typing")]
    assert door.ingest.left_out.ignored["evolution", "unchanged"] == 1


@pytest.mark.parametrize(
    ("gateway", "body"),
    [
        ("evolution", {"event": "presence.update", "instance": "loja", "data": {
            "id": "1@s.whatsapp.net", "presences": {"1@s.whatsapp.net": {"lastKnownPresence": "dancing"}}}}),
        ("evolution", {"event": "ChatPresence", "instanceId": "loja", "data": {
            "Chat": "1@s.whatsapp.net", "Sender": "1@s.whatsapp.net", "State": "dancing"}}),
        ("waha", {"event": "presence.update", "session": "loja", "payload": {
            "id": "1@c.us", "presences": [{"participant": "1@c.us", "lastKnownPresence": "dancing"}]}}),
        ("zapi", {"type": "PresenceChatCallback", "instanceId": "loja", "phone": "5511900000001",
                  "status": "DANCING"}),
        ("uazapi", {"EventType": "presence", "instanceName": "loja", "chatid": "1@s.whatsapp.net",
                    "presence": "dancing"}),
    ],
)  # fmt: skip
async def test_an_unknown_state_is_counted_with_its_reason(door: Door, gateway: str, body: dict[str, Any]):
    """A state that says nothing of typing changes nothing, and the operator can see it."""
    assert (await door.post(gateway, orjson.dumps(body)))["ignored"] == 1
    assert door.store.signals == []
    assert dict(door.ingest.left_out.ignored) == {(gateway, "presence"): 1}
