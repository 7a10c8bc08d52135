"""What no script sees is counted in the process and added to Redis: once, by every process, and at the end."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

import webhook
from buffer.errors import (
    ConversationBroken,
    ConversationFull,
    NotDurable,
    StoreError,
    StoreFull,
    StoreUnavailable,
)
from buffer.store import Store
from config.settings import Settings
from gateways.registry import GATEWAYS
from tests.webhook_client import serving
from webhook import tallies as tallies_module
from webhook.connection import CROWDED
from webhook.left_out import NO_GATEWAY, LeftOut
from webhook.rejected import REJECTED_REASONS
from webhook.request_log import RequestLog
from webhook.responses import HTTPError
from webhook.tallies import APPEND_BOUNDS_MS, AppendTimes, Tallies

WRONG = HTTPError(401, "unauthorized", "token wrong or missing")


async def counters(store: Store) -> dict[str, int]:
    found: Any = await store.client.hgetall(store.keys.of(0, "counters"))
    return {field.decode(): int(number) for field, number in found.items()}


@pytest.mark.server
async def test_each_count_is_added_once(store: Store):
    """A second sending adds only what is new, and two processes add to the same counts."""
    for _ in range(2):
        left_out, times = LeftOut(), AppendTimes()
        tallies = Tallies(left_out, times)
        left_out.refuse("meta", WRONG)
        left_out.ignore("evolution", "group")
        await tallies.send(store)
        left_out.refuse("meta", WRONG)
        times.add(0.0042, 3)
        await tallies.send(store)
        await tallies.send(store)
    assert await counters(store) == {
        "requests_rejected:meta:unauthorized": 4,
        "messages_ignored:evolution:group": 2,
        "append_ms:2": 6,
        "append_ms:sum": 24,
    }


@pytest.mark.server
async def test_what_redis_does_not_take_is_sent_later(store: Store, monkeypatch: pytest.MonkeyPatch):
    """Nothing that is counted while Redis is away is lost by that."""
    left_out = LeftOut()
    tallies = Tallies(left_out, AppendTimes())
    left_out.refuse("meta", WRONG)
    with monkeypatch.context() as away:

        async def refuse(*_: Any) -> None:
            raise StoreUnavailable

        away.setattr(tallies_module, "add_counts", refuse)
        with pytest.raises(StoreUnavailable):
            await tallies.send(store)
    left_out.refuse("meta", WRONG)
    await tallies.send(store)
    assert await counters(store) == {"requests_rejected:meta:unauthorized": 2}


@pytest.mark.server
async def test_nothing_new_costs_no_call(store: Store, monkeypatch: pytest.MonkeyPatch):
    """A quiet process asks nothing of Redis."""
    tallies = Tallies(LeftOut(), AppendTimes())
    monkeypatch.setattr(tallies_module, "add_counts", None)
    await tallies.send(store)


@pytest.mark.parametrize("bound", range(len(APPEND_BOUNDS_MS) - 1))
def test_a_bound_belongs_to_its_bucket(bound: int):
    """A time equal to a bound counts below it, as Prometheus has it (`le`), and a longer one in the next bucket."""
    times = AppendTimes()
    times.add(APPEND_BOUNDS_MS[bound] / 1000, 1)
    times.add(APPEND_BOUNDS_MS[bound] / 1000 + 1e-6, 1)
    assert times.counts[bound : bound + 2] == [1, 1]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StoreUnavailable(), "unavailable"),
        (StoreError(), "unavailable"),
        (StoreFull(), "redis_full"),
        (NotDurable(), "not_durable"),
        (ConversationFull(), "conversation_full"),
        (ConversationBroken(), "conversation_broken"),
        (RuntimeError(), "internal"),
        (WRONG, "unauthorized"),
    ],
)
def test_each_failure_has_its_reason(error: Exception, reason: str):
    """Each request that gets an error counts once, by its gateway and reason."""
    log = RequestLog("ERROR")
    log.log_failure(GATEWAYS["generic"], error)
    assert dict(log.left_out.refused) == {("generic", reason): 1}


def test_connections_without_a_request_count(monkeypatch: pytest.MonkeyPatch):
    """A connection that is closed with an error counts without a gateway. Only lack of room is told."""
    told: list[str] = []
    monkeypatch.setattr("webhook.left_out.log.warning", lambda text, **_: told.append(text), raising=False)
    left_out = LeftOut()
    for error in (HTTPError(400, "not_http", "no"), CROWDED):
        left_out.refuse_connection(error)
    assert dict(left_out.refused) == {(NO_GATEWAY, "not_http"): 1, (NO_GATEWAY, "too_many_connections"): 1}
    assert len(told) == 1
    left_out.flush(everything=True)


def codes_of(path: Path) -> set[str]:
    """Return the codes of the HTTPErrors that a file makes."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    codes = [call.args[1] for call in calls if getattr(call.func, "id", "") == "HTTPError"]
    return {ast.literal_eval(code) for code in codes}


def test_every_code_is_a_reason():
    """The list of reasons has every code that a webhook answers with, and each reason is a code or of the store."""
    folder = Path(webhook.__file__).parent
    codes = set().union(*(codes_of(path) for path in folder.glob("*.py")))
    of_the_store = {"redis_full", "not_durable", "conversation_full", "conversation_broken"}
    assert codes | of_the_store == set(REJECTED_REASONS)


@pytest.mark.server
async def test_the_end_of_the_process_sends(make_settings: Callable[..., Settings], valkey: Any, store: Store):
    """A process that stops loses no count, however short it ran."""
    settings = make_settings(redis_url=valkey.url, generic_token="t")
    async with serving(settings) as client:
        body = orjson.dumps({"conversation": "ana", "text": "oi", "message_id": "m1"})
        assert (await client.post("/webhooks/generic?token=t", content=body)).status_code == 200
        assert (await client.post("/webhooks/generic?token=x", content=body)).status_code == 401
        assert (await client.post("/webhooks/other", content=body)).status_code == 404
    found = await counters(store)
    assert found["requests_rejected:generic:unauthorized"] == 1
    assert found["requests_rejected:-:unknown_gateway"] == 1
    assert sum(found.get(f"append_ms:{i}", 0) for i in range(len(APPEND_BOUNDS_MS))) == 1
