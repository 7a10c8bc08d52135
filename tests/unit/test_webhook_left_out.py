"""Refused and ignored webhooks: all are counted, and one line a minute tells each reason, without a value."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from buffer.keys import Ref
from buffer.models import Appended, Ignored
from config.log_limiter import LogLimiter
from config.settings import Settings
from gateways.base import Headers, Request
from gateways.registry import GATEWAYS
from tests.webhook_client import serving
from webhook import left_out
from webhook.ingest import Ingest
from webhook.left_out import LOG_EVERY_S, LeftOut, without_values
from webhook.responses import HTTPError, Response

PHONE = "5511900000001"
WRONG = HTTPError(401, "unauthorized", "token wrong or missing")


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """The lines that are written, each with its fields."""
    written: list[tuple[str, dict[str, Any]]] = []
    for level in ("info", "warning"):
        monkeypatch.setattr(left_out.log, level, lambda text, **fields: written.append((text, fields)), raising=False)
    return written


async def test_one_line_a_minute_for_each_gateway_and_reason(clock: Clock, lines: list[Any]):
    """The first event is told at once, those of the next minute in one line, and no two reasons share one."""
    counted = LeftOut(clock)
    for _ in range(12):
        counted.refuse("evolution", WRONG)
        counted.refuse("generic", WRONG)
        counted.ignore("evolution", "group")
    assert [text for text, _ in lines] == [
        "evolution: 1 webhook refused: token wrong or missing",
        "generic: 1 webhook refused: token wrong or missing",
        "evolution: 1 message ignored: group (GROUPS_ENABLED=false)",
    ]
    clock.now_s += LOG_EVERY_S
    counted.refuse("evolution", WRONG)
    assert lines[3] == (
        "evolution: 12 webhooks refused: token wrong or missing",
        {"gateway": "evolution", "reason": "unauthorized", "count": 12},
    )
    assert counted.refused["evolution", "unauthorized"] == 13
    assert counted.ignored["evolution", "group"] == 12


async def test_what_is_not_told_yet_is_told_later(clock: Clock, lines: list[Any]):
    """A burst of refusals that ends is told completely by the timer, or when the process stops."""
    counted = LeftOut(clock)
    for _ in range(3):
        counted.refuse("evolution", WRONG)
    counted.flush()
    assert len(lines) == 1
    clock.now_s += LOG_EVERY_S
    counted.flush()
    counted.refuse("evolution", WRONG)
    counted.flush(everything=True)
    assert [fields["count"] for _, fields in lines] == [1, 2, 1]


async def test_the_timer_tells(lines: list[Any], monkeypatch: pytest.MonkeyPatch):
    """No later event and no end of the process is needed."""
    monkeypatch.setattr(left_out, "LOG_EVERY_S", 0.01)
    counted = LeftOut()
    for _ in range(3):
        counted.refuse("evolution", WRONG)
    told = asyncio.Event()
    write = left_out.log.warning

    def write_and_tell(text: str, **fields: Any) -> None:
        write(text, **fields)
        told.set()

    monkeypatch.setattr(left_out.log, "warning", write_and_tell)
    await told.wait()
    assert [fields["count"] for _, fields in lines] == [1, 2]


async def test_a_shape_is_told_once(lines: list[Any]):
    """An unknown form is logged once for each gateway and shape, and so many shapes at most."""
    counted = LeftOut()
    for gateway, shape in [("waha", "a {b}"), ("waha", "a {b}"), ("waha", "a {c}"), ("zapi", "a {b}")]:
        counted.ignore(gateway, "misfit", shape)
    assert [(text.partition(":")[0], fields["shape"]) for text, fields in lines] == [
        ("waha", "a {b}"),
        ("waha", "a {c}"),
        ("zapi", "a {b}"),
    ]
    assert counted.ignored["waha", "misfit"] == 3
    for number in range(1000):
        counted.ignore("waha", "misfit", str(number))
    assert len(lines) == left_out.SHAPES_MAX


def test_a_limiter_keeps_what_it_does_not_tell(clock: Clock):
    """Every event is in exactly one answer."""
    limiter: LogLimiter[str] = LogLimiter(5, clock)
    told = []
    for _ in range(20):
        told.append(limiter.add("a", 2))
        clock.now_s += 1
    assert told == [2, 0, 0, 0, 0, 10, 0, 0, 0, 0] + [10, 0, 0, 0, 0] * 2
    assert list(limiter.due()) == [("a", 8)]
    assert not limiter.has_untold()


@pytest.mark.parametrize(
    ("detail", "told"),
    [
        ("`instance` is missing", "`instance` is missing"),
        (f"in `media`, `{PHONE}` is not known", "in `media`, `?` is not known"),
        ("`a secret text` is not known", "`?` is not known"),
    ],
)
def test_only_names_of_fields_are_told(detail: str, told: str):
    """What a client wrote in place of a field's name is hidden."""
    assert without_values(detail) == told


@pytest.mark.server
async def test_each_refusal_is_counted_and_told(make_settings: Callable[..., Settings], valkey: Any, lines: list[Any]):
    """Each status has its reason, its gateway, and words on what to do; no line has a value of the request."""
    tokens = {"generic_token": "t", "meta_app_secret": "s", "meta_verify_token": "v"}
    settings = make_settings(redis_url=valkey.url, webhook_max_body=1024, **tokens)
    posts: list[tuple[str, int, str, str]] = [
        (f"/webhooks/{PHONE}", 404, "-", "names no gateway"),
        (f"/webhooks/evolution/{PHONE}", 404, "evolution", "docs/gateways.md"),
        (f"/webhooks/generic?token={PHONE}", 401, "generic", "`Authorization: Bearer …` or `?token=…`"),
        (f"/webhooks/meta?token={PHONE}", 401, "meta", "META_APP_SECRET"),
        ("/webhooks/generic?token=t", 400, "generic", "`conversation` is missing"),
        ("/webhooks/generic?token=t", 413, "generic", "WEBHOOK_MAX_BODY=1024"),
    ]
    async with serving(settings) as client:
        for path, status, gateway, words in posts:
            body = b"x" * 2000 if status == 413 else orjson.dumps({"text": PHONE})
            response = await client.post(path, content=body)
            assert response.status_code == status
            assert lines[-1][1]["gateway"] == gateway
            assert words in lines[-1][0]
        assert (await client.get(f"/webhooks/meta?hub.verify_token={PHONE}")).status_code == 403
    assert len(lines) == len(posts) + 1
    assert PHONE not in repr(lines)


class Store:
    """A store in which every message is new, or has another status."""

    def __init__(self, status: Any = "new") -> None:
        self.status = status

    def send_append(self, messages: Any, receiver: Any, rules: Any = None) -> bool:
        receiver.set_result([Appended(self.status, 1, 1)] * len(messages))
        return True

    def ref(self, conversation: Any) -> Ref:
        return Ref(0, "hash")

    async def run(self, verb: str, partition: int, args: Any) -> bytes:
        return b"foreign"


def upsert(**key: Any) -> bytes:
    fields = {"remoteJid": f"{PHONE}@s.whatsapp.net", "id": "A", **key}
    data = {"key": fields, "message": {"conversation": "oi"}}
    return orjson.dumps({"event": "messages.upsert", "instance": "loja", "data": data})


IGNORED = {
    "own": upsert(fromMe=True),
    "group": upsert(remoteJid="12036300000000001@g.us"),
    "unknown_event": orjson.dumps({"event": "connection.update", "instance": "loja", "data": {}}),
}


@pytest.mark.parametrize("reason", IGNORED)
async def test_each_ignored_message_is_counted(make_settings: Callable[..., Settings], reason: str):
    """It is answered 200 with one `ignored`, and counted with its gateway and reason."""
    ingest = Ingest(make_settings(evolution_token="t"))
    ingest.accept_into(Store())  # type: ignore[arg-type]
    assert await ask(ingest, "evolution", IGNORED[reason]) == {"accepted": 0, "duplicates": 0, "ignored": 1}
    assert dict(ingest.left_out.ignored) == {("evolution", reason): 1}


async def test_what_the_buffer_leaves_out_is_counted(make_settings: Callable[..., Settings]):
    """A message that a script did not take is counted by its status."""
    ingest = Ingest(make_settings(generic_token="t"))
    ingest.accept_into(Store("stale"))  # type: ignore[arg-type]
    assert (await ask(ingest, "generic", b'{"conversation": "ana", "text": "oi"}'))["ignored"] == 1
    assert dict(ingest.left_out.ignored) == {("generic", "stale"): 1}


async def test_ignored_parts_beside_messages(make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch):
    """A body with a message, an ignored part and a part of no known form: each counts once."""
    generic = GATEWAYS["generic"]
    ingest = Ingest(make_settings(generic_token="t"))
    ingest.accept_into(Store())  # type: ignore[arg-type]

    def parse(request: Request) -> list[Any]:
        return [*generic.parse(request), Ignored("call"), Ignored("misfit", "odd {a}")]

    counts = await ask(ingest, "generic", b'{"conversation": "ana", "text": "oi"}', parse)
    assert counts == {"accepted": 1, "duplicates": 0, "ignored": 2}
    assert dict(ingest.left_out.ignored) == {("generic", "call"): 1, ("generic", "misfit"): 1}


async def ask(ingest: Ingest, gateway: str, body: bytes, parse: Any = None) -> Any:
    """Handle one request and return its counts."""
    record = GATEWAYS[gateway]
    responses: list[Response] = []
    request = Request(Headers({b"authorization": b"t"}), {}, "", body)
    remaining = ingest.handle(dataclasses.replace(record, parse=parse) if parse else record, request, responses.append)
    if remaining is not None:
        await remaining
    await asyncio.sleep(0)
    return orjson.loads(responses[0].body)
