"""Every recorded body of every gateway, posted to the application as its gateway posts it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from agents.burst_body import render_burst
from buffer.store import Store
from config.settings import Settings
from tests.conftest import Clock
from tests.recorded_bodies import CASES, SECRETS, body_of, described, expected_of, opened_by
from tests.servers import Server
from tests.webhook_client import serving

Batches = dict[tuple[str, ...], list[dict[str, Any]]]

ANY_TIME_LATER_MS = 4_000_000_000_000

OVERRULED: dict[tuple[str, str], int] = {}
"""The status of a case where we decide otherwise than the recording, with the reason beside it."""

WITHOUT_ID = {("evolution", "missing_message_id")}
"""Cases whose messages have no id: they get one of ours."""

NOT_STORED = ("gateway", "channel", "conversation", "conversation_alt", "from_me", "is_group", "received_ms")
"""Fields of an expectation that belong to the conversation, or say that a message is not for us."""

POSTED = [case for case in CASES if "signature vector only: not for the endpoint" not in described(*case)["tags"]]


def for_us(gateway: str, case: str) -> list[dict[str, Any]]:
    """Return the expected messages that are buffered for the agent."""
    expected = expected_of(gateway, case)
    messages = expected if isinstance(expected, list) and described(gateway, case)["expect_http_status"] == 200 else []
    return [each for each in messages if not (each["from_me"] or each["is_group"] or each["kind"] == "reaction")]


def said(message: dict[str, Any]) -> dict[str, Any]:
    """Return the fields in which an expected and a stored message must agree. Inline media is stored apart."""
    fields = {name: value for name, value in message.items() if value is not None and name not in NOT_STORED}
    if "media" in fields:
        fields["media"] = {name: value for name, value in fields["media"].items() if name != "base64"}
    return fields


def by_conversation(messages: list[dict[str, Any]]) -> Batches:
    """Return the batches that the expected messages make."""
    batches: Batches = {}
    for each in messages:
        where = (each["gateway"], each["channel"], each["conversation"])
        batches.setdefault(where, []).append(said(each))
    return batches


class Post:
    """Posts cases to an application of its own, and reads the batches in the store."""

    def __init__(self, settings: Callable[..., Settings], store: Callable[..., Store], server: Server) -> None:
        self._settings = settings
        self._store = store
        self._server = server

    async def __call__(self, gateway: str, case: str, times: int, **auth: str) -> list[httpx.Response]:
        """Send a case several times to a service with the recorded secret, or another."""
        sent = described(gateway, case)
        opened = opened_by(gateway, sent["auth"] | auth)
        asked = {"content": body_of(gateway, case), "headers": sent["headers"]}
        async with serving(self._settings(redis_url=self._server.url, **opened)) as client:
            return [await client.request(sent["method"], sent["path"], **asked) for _ in range(times)]

    async def waiting(self) -> Batches:
        """Claim every batch in the store, and return their messages by conversation."""
        store, batches = self._store(self._server), {}
        for due in (await store.dispatch(0, 100)).due:
            batch = (await store.claim(due.ref, "test")).batch
            assert batch is not None
            batches[tuple(batch.conversation)] = [
                said(message) for message in json.loads(render_burst(batch))["messages"]
            ]
        return batches


@pytest.fixture
def post(
    valkey: Server, make_settings: Callable[..., Settings], open_store: Callable[..., Store], clock: Clock
) -> Post:
    """Return a `Post` whose store has a clock at which everything is due."""
    clock.now_ms = ANY_TIME_LATER_MS
    return Post(make_settings, open_store, valkey)


@pytest.mark.server
@pytest.mark.parametrize(("gateway", "case"), POSTED)
async def test_a_recorded_body_waits_for_the_agent(post: Post, gateway: str, case: str) -> None:
    """A body gets the reply that its gateway wants, also when it is posted twice, and is stored once as expected."""
    times = 1 if (gateway, case) in WITHOUT_ID else 2
    answers = await post(gateway, case, times)
    status = OVERRULED.get((gateway, case), described(gateway, case)["expect_http_status"])
    assert [answer.status_code for answer in answers] == [status] * times
    stored = await post.waiting()
    if (gateway, case) in WITHOUT_ID:
        assert [message.pop("message_id")[:4] for batch in stored.values() for message in batch] == ["own-"]
    assert stored == by_conversation(for_us(gateway, case))


@pytest.mark.server
@pytest.mark.parametrize(("gateway", "case"), POSTED)
async def test_another_secret_is_refused(post: Post, gateway: str, case: str) -> None:
    """The same request to a service with another secret is refused, and nothing of it is stored."""
    (answer,) = await post(gateway, case, 1, secret="another-secret")
    assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized")
    assert await post.waiting() == {}


def test_every_gateway_is_posted() -> None:
    """Every gateway has a folder of cases, and messages are among them, not only receipts."""
    speaking = {gateway for gateway, case in POSTED if for_us(gateway, case)}
    assert speaking == set(SECRETS)
    assert len(POSTED) >= 151
