"""Routes in the webhook: which rules a message is stored with, and what a channel that is switched off brings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from buffer.models import Append, Appended
from buffer.rules import AppendRules, append_rules
from config.routes import load_routes
from config.settings import Settings
from gateways.base import Headers, Request
from gateways.registry import GATEWAYS
from webhook.append_coalescer import SEND_EARLY_AFTER, AppendCoalescer
from webhook.ingest import Ingest
from webhook.responses import Response

GENERIC = GATEWAYS["generic"]
TWO_SHOPS = """
[generic.loja]
window = 3
keywords = ["já"]
groups = true

[generic.off]
enabled = false

[generic.same]
agent_url = "http://127.0.0.1:9000/"
"""


class Store:
    """A store that keeps the channels, the rules and the keywords of each call."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], AppendRules | None]] = []
        self.keywords: list[bool] = []
        self.typing: list[float] = []

    def send_append(self, messages: Sequence[Append], results: Any, rules: AppendRules | None = None) -> bool:
        self.calls.append(([one.conversation.channel for one in messages], rules))
        self.keywords += [one.keyword for one in messages]
        results.set_result([Appended("new", 1, 1) for _ in messages])
        return True

    async def append(self, messages: Sequence[Append], rules: AppendRules | None = None) -> list[Appended]:
        raise AssertionError("the call was not sent at once")

    async def presence(self, _: Any, kind: str, settings: Settings) -> int:
        self.typing.append(settings.window_s)
        return 1


def make_store() -> Any:
    return Store()


class Door:
    """An ingest with routes, in front of a store."""

    def __init__(self, file: Path, settings: Settings) -> None:
        self.file = file
        file.write_text(TWO_SHOPS, encoding="utf-8")
        self.settings = settings
        self.routes = load_routes(settings.model_copy(update={"routes_file": str(file)}), None)
        self.store = make_store()
        self.ingest = Ingest(settings, self.routes)
        self.ingest.accept_into(self.store)

    async def post(self, *messages: dict[str, Any]) -> dict[str, int]:
        """Post one request, and return the counts of its response."""
        responses: list[Response] = []
        body = orjson.dumps(messages)
        rest = self.ingest.handle(GENERIC, Request(Headers({b"authorization": b"t"}), {}, "", body), responses.append)
        if rest is not None:
            await rest
        else:
            self.ingest._sink.coalescer._send_all()  # type: ignore[union-attr]
        counts: dict[str, int] = orjson.loads(responses[0].body)
        return counts


def said(channel: str, text: str = "oi", **fields: Any) -> dict[str, Any]:
    return {"conversation": "ana", "channel": channel, "text": text, **fields}


@pytest.fixture
def door(tmp_path, make_settings) -> Door:
    return Door(tmp_path / "routes.toml", make_settings(generic_token="t"))


def rules_of(door: Door, channel: str) -> AppendRules:
    return append_rules(door.routes.of("generic", channel).settings, door.settings)


async def test_a_channel_has_its_own_rules(door):
    """A message is stored with the window and the keywords of its channel; a channel without a table has the usual."""
    await door.post(said("loja", "JÁ"))
    await door.post(said("other", "já"))
    assert door.store.calls == [(["loja"], rules_of(door, "loja")), (["other"], rules_of(door, "other"))]
    assert [int.from_bytes(rules.window[:6]) for _, rules in door.store.calls] == [3_000, 8_000]
    assert door.store.keywords == [True, False]


async def test_channels_of_one_request_are_kept_apart(door):
    """A request with messages of several routes makes one call for each, and one response with all counts."""
    counts = await door.post(said("loja"), said("other"), said("off"), said("loja"))
    assert counts == {"accepted": 3, "duplicates": 0, "ignored": 1}
    assert [channels for channels, _ in door.store.calls] == [["loja", "loja"], ["other"]]


async def test_a_disabled_channel_is_acknowledged_and_dropped(door):
    """What a switched-off channel brings is answered with 200, stored nowhere, and counted."""
    assert await door.post(said("off")) == {"accepted": 0, "duplicates": 0, "ignored": 1}
    assert door.store.calls == []
    assert door.ingest.left_out.ignored == {("generic", "route_disabled"): 1}


async def test_groups_are_heard_where_the_route_says_so(door, make_settings):
    """One channel hears groups although the others do not."""
    evolution = GATEWAYS["evolution"]
    assert not door.settings.groups_enabled
    rules = door.ingest._rules
    [message] = [event for event in evolution.parse(group_request("loja"))]
    assert rules.of(message.conversation._replace(gateway="generic", channel="loja")).is_wanted(message)
    assert rules.of(message.conversation).ignored_reason(message) == "group"


def group_request(instance: str) -> Request:
    data = {
        "key": {
            "remoteJid": "120363000000000000@g.us",
            "fromMe": False,
            "id": "3EB0",
            "participant": "5511900000001@s.whatsapp.net",
        },
        "pushName": "Ana",
        "message": {"conversation": "oi"},
        "messageType": "conversation",
        "messageTimestamp": 1_795_362_747,
    }
    body = orjson.dumps({"event": "messages.upsert", "instance": instance, "data": data})
    return Request(Headers({}), {}, "", body)


async def test_a_reload_counts_for_the_next_message(door):
    """After a reload the next message has the new rules, and a channel that was off is heard."""
    await door.post(said("loja"))
    door.file.write_text("[generic.loja]\nwindow = 5\n", encoding="utf-8")
    door.routes.reload()
    await door.post(said("loja"))
    await door.post(said("off"))
    assert [int.from_bytes(rules.window[:6]) for _, rules in door.store.calls] == [3_000, 5_000, 8_000]


async def test_a_process_without_a_file_has_one_set_of_rules(make_settings):
    """Without a routes file all channels share one object, so that nothing is looked up."""
    settings = make_settings(generic_token="t")
    rules = Ingest(settings)._rules
    one = GENERIC.parse(Request(Headers({}), {}, "", orjson.dumps([said("a"), said("b")])))
    assert {rules.of(message.conversation) for message in one} == {rules.only}
    assert rules.only.append == append_rules(settings)


async def test_requests_of_one_route_share_a_call(door):
    """Requests that arrive together share a call if their routes have the same rules, in order, and never else."""
    store: Any = Store()
    coalescer = AppendCoalescer(store)
    loja, usual = rules_of(door, "loja"), rules_of(door, "other")
    for number in range(SEND_EARLY_AFTER):
        rules = loja if number % 2 else usual
        messages = [Append(GENERIC_ANA._replace(channel=str(number)), b"f" * 8, b"nnnn", b"{}")]
        coalescer.submit(messages, Ignoring(), rules)
    evens, odds = [str(n) for n in range(0, SEND_EARLY_AFTER, 2)], [str(n) for n in range(1, SEND_EARLY_AFTER, 2)]
    assert store.calls == [(evens, usual), (odds, loja)]


class Ignoring:
    """A receiver that nobody reads."""

    def done(self) -> bool:
        return False

    def set_result(self, _: Any) -> None: ...

    def set_exception(self, _: Any) -> None: ...


GENERIC_ANA = GENERIC.parse(Request(Headers({}), {}, "", orjson.dumps(said("x"))))[0].conversation  # type: ignore[union-attr]
