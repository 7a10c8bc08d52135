"""The routes of the page: who may see what, what a stream tells, and what never leaves without a token."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import structlog

from buffer.duplicates import note_duplicates, read_duplicates
from buffer.held_agent_calls import Strike
from buffer.held_agents import HeldAgents
from buffer.models import Conversation
from buffer.person_store import People
from buffer.store import Store
from config.settings import Settings
from tests.messages import message
from tests.servers import Server
from tests.webhook_client import serving
from webhook.dashboard import broadcast
from webhook.dashboard.broadcast import Broadcaster, TooManyViewers
from webhook.dashboard.models import Snapshot

pytestmark = pytest.mark.server

TOKEN = "a-token-for-operators"
BEARER = {"authorization": f"Bearer {TOKEN}"}
LOCAL = "http://127.0.0.1:8000"
HTML = {"accept": "text/html"}
OWN = {"sec-fetch-site": "same-origin"}
ANA = Conversation("evolution", "loja", "5511900000071")
HOSTILE = Conversation("generic", "<script>alert(1)</script>", "<b>5511900000072</b>")
TEXT = "o portão azul da garagem não fecha"
NAME = "Zeferina <i>Bragança"
SECRETS = (ANA.peer, TEXT, "Zeferina", "900000071", TOKEN)
READS = ("/dashboard", "/snapshot.json", "/dashboard/events")

Options = Callable[..., Settings]


@pytest.fixture
def store(valkey: Server, open_store: Callable[..., Store]) -> Store:
    """The same buffer as that of the service, under the server's own time."""
    found = open_store(valkey, message_buffer_timeout=600, message_buffer_max_wait=3600)
    found._clock = None
    return found


@pytest.fixture
def options(make_settings: Callable[..., Settings], valkey: Server) -> Options:
    """Settings of a service on the Valkey server."""
    window = {"message_buffer_timeout": 600, "message_buffer_max_wait": 3600}
    return lambda **others: make_settings(redis_url=valkey.url, **window, **others)


@pytest.fixture
async def admin(options: Options) -> AsyncIterator[httpx.AsyncClient]:
    """A client that may do everything."""
    async with serving(options(admin_token=TOKEN)) as client:
        client.headers.update(BEARER)
        yield client


@pytest.fixture
async def local(options: Options) -> AsyncIterator[httpx.AsyncClient]:
    """A client on the same machine, of a service without a token."""
    async with serving(options()) as client:
        client.base_url = httpx.URL(LOCAL)
        yield client


async def fill(store: Store) -> None:
    """An open burst, a flush that ended and a dead letter, each of people with hostile names."""
    for who in (ANA, HOSTILE):
        await store.append([message(f"{who.peer}-1", who, text=TEXT, name=NAME)])
        await store.flush_now(who)
        batch = (await store.claim(store.ref(who), f"w-{who.peer}")).batch
        assert batch is not None
        await store.fail(store.ref(who), batch.token, f"HTTP 400 for {ANA.peer}", delay_ms=0, dead=True)
        await store.append([message(f"{who.peer}-2", who, text=TEXT, name=NAME)])


# ---- what it shows ----


async def test_nothing_of_a_person_is_shown(local: httpx.AsyncClient, store: Store):
    """Neither the page nor its data hold a number, a name or a text, and what is hostile stays text."""
    await fill(store)
    page = (await local.get("/dashboard", headers=HTML)).text
    data = await local.get("/snapshot.json")
    assert "+55 11 •••• 0071" in page
    assert re.findall("<title>.*</title>", page)[0] == "<title>debouncer</title>"
    assert not re.search("data-post|data-each|data-open=|data-retry-all|/export", page)
    for text in (page, data.text):
        assert [secret for secret in SECRETS if secret in text] == []
    assert "<script>alert" not in page
    assert data.json()["strip"]["dead"] == 2
    assert [row["state"] for row in data.json()["pending"]] == ["open", "open"]


async def test_nothing_is_shown_with_the_token_either(admin: httpx.AsyncClient, store: Store):
    """Numbers are revealed one conversation at a time, by the admin API."""
    await fill(store)
    page = (await admin.get("/dashboard", headers=HTML)).text
    assert [secret for secret in SECRETS if secret in page] == []
    assert "data-post" in page


async def test_an_agent_that_fails_for_everyone(local: httpx.AsyncClient, store: Store):
    """It stands in the strip with its host, not with the path of its address, which may be a secret."""
    for number in range(2):
        address = "https://n8n.example.com/webhook/secret"
        strike = Strike("tag", f"p{number}", 2, 5_000, 600_000, address, f"the agent answered 404 to {ANA.peer}")
        await HeldAgents(store).strike(strike)
    data = await local.get("/snapshot.json")
    [text] = [badge["value"] for badge in data.json()["badges"] if badge["name"] == "agent_held"]
    assert re.fullmatch(r"n8n\.example\.com: the agent answered 404 to .* \(0\)", text)
    page = (await local.get("/dashboard", headers=HTML)).text
    assert "An agent fails for everyone, and its calls are held: n8n.example.com" in re.sub(r"\s+", " ", page)
    assert [secret for secret in (*SECRETS, "webhook/secret") if secret in page + data.text] == []


async def test_every_panel_reads_the_same_snapshot(admin: httpx.AsyncClient, store: Store):
    """What waits, what ended and what is dead are on the page and in the data."""
    await fill(store)
    data = (await admin.get("/snapshot.json")).json()
    assert {
        "now_ms",
        "strip",
        "badges",
        "pending",
        "ended",
        "dead_letters",
        "doubts",
        "duplicates",
        "tuning",
        "health",
    } == set(data)
    (group,) = data["dead_letters"]["groups"]
    assert len(group["items"]) == 2
    assert [badge["name"] for badge in data["badges"]][:1] == ["no_worker"]
    first = data["pending"][0]
    assert first["cap_ms"] > first["due_ms"] > data["now_ms"]
    assert len(first["arrivals_ms"]) == 1


async def test_a_duplicate_is_told(options: Options, store: Store):
    """A message that a gateway sends again is noted with its conversation and its moment, until an erase."""
    async with serving(options(admin_token=TOKEN, generic_token=TOKEN)) as client:
        client.headers.update(BEARER)
        for _ in range(2):
            body = {"conversation": ANA.peer, "text": TEXT, "message_id": "m1"}
            await client.post("/webhooks/generic", json=body)
    who = Conversation("generic", "default", ANA.peer)
    ((ref, at_ms),) = await read_duplicates(store)
    assert ref == str(store.ref(who))
    assert at_ms > 0
    await People(store).erase(who)
    assert await read_duplicates(store) == []


async def test_duplicates_under_a_key_of_another_type(store: Store):
    """They are not noted, and nothing else suffers."""
    await store.client.set(store.keys.of(0, "duplicates"), "x")
    await note_duplicates(store, [(store.ref(ANA), 0)])
    assert await read_duplicates(store) == []


async def test_the_language_of_the_browser(local: httpx.AsyncClient):
    """Portuguese and English."""
    page = await local.get("/dashboard", headers={"accept-language": "pt-BR,en;q=0.5"})
    assert '<html lang="pt-BR">' in page.text
    assert "Quanto esperar?" in page.text or "Nenhuma rajada" in page.text


async def test_the_policy(local: httpx.AsyncClient):
    """Nothing from elsewhere, nothing inline, in no frame, and kept by no cache."""
    headers = (await local.get("/dashboard")).headers
    assert headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("name", "kind"), [("page.css", "text/css"), ("live.js", "text/javascript")])
async def test_the_files(local: httpx.AsyncClient, name: str, kind: str):
    """Both have their type, and nothing else is served."""
    answer = await local.get(f"/dashboard/static/{name}")
    assert answer.headers["content-type"].startswith(kind)
    assert (await local.get("/dashboard/static/..%2frender.py")).status_code == 404
    assert (await local.get("/dashboard/static/other.js")).status_code == 404


async def test_the_root_leads_a_browser_to_the_page(local: httpx.AsyncClient):
    """Programs get the description as before."""
    answer = await local.get("/", headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard")
    assert (await local.get("/")).json()["service"] == "debouncer"


async def test_it_can_be_switched_off(options: Options):
    """There is no page and no data then, and the root says what this is."""
    async with serving(options(webhook_dashboard=False)) as client:
        client.base_url = httpx.URL(LOCAL)
        assert [(await client.get(path)).status_code for path in READS] == [404, 404, 404]
        assert (await client.get("/", headers=HTML)).status_code == 200


# ---- who may see it ----


@pytest.mark.parametrize("path", READS)
async def test_with_a_token_nobody_reads_without_it(options: Options, path: str, monkeypatch: pytest.MonkeyPatch):
    """Not even this machine: a proxy may stand before it. A browser gets the form."""
    monkeypatch.setattr("webhook.dashboard.routes.STREAM_S", 0.0)
    async with serving(options(admin_token=TOKEN)) as client:
        answer = await client.get(f"{LOCAL}{path}", headers={"x-forwarded-for": "127.0.0.1"})
        assert answer.status_code == 401
        if path == "/dashboard":
            assert 'action="/dashboard/sign-in"' in answer.text


@pytest.mark.parametrize("path", READS)
async def test_without_a_token_only_this_machine_reads(options: Options, path: str, monkeypatch: pytest.MonkeyPatch):
    """Another address, a proxy, another name or another site are refused."""
    monkeypatch.setattr("webhook.dashboard.routes.STREAM_S", 0.0)
    async with serving(options()) as client:
        assert (await client.get(path)).status_code == 403
        for headers in ({"x-forwarded-for": "127.0.0.1"}, {"origin": "https://evil.example.com"}):
            assert (await client.get(f"{LOCAL}{path}", headers=headers)).status_code == 403


LINK = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


async def test_a_link_of_another_site_leads_to_the_page_alone(local: httpx.AsyncClient):
    """Whoever follows it sees the page. Its data, the admin API and what changes something stay refused."""
    assert "data-panel" in (await local.get("/dashboard", headers=LINK)).text
    for path in (*READS[1:], "/conversations", "/dead-letters/export", "/metrics"):
        assert (await local.get(path, headers=LINK)).status_code == 403
    framed = LINK | {"sec-fetch-dest": "iframe"}
    assert (await local.get("/dashboard", headers=framed)).status_code == 403


async def test_a_link_of_another_site_finds_the_session(options: Options):
    """A browser sends no session with it, so the form asks for the page once more, and only then."""
    async with serving(options(admin_token=TOKEN)) as client:
        for headers, asks_again in ((LINK, True), ({}, False), (OWN, False)):
            answer = await client.get("/dashboard", headers=headers)
            assert answer.status_code == 401
            assert ('http-equiv="refresh"' in answer.text) is asks_again


async def test_sign_in_and_out(options: Options):
    """The form gives a session, with which the page acts through the admin API until it signs out."""
    async with serving(options(admin_token=TOKEN)) as client:
        refused = await client.post("/dashboard/sign-in", data={"token": "guessed"}, headers=OWN)
        assert (refused.status_code, refused.cookies) == (401, httpx.Cookies())
        assert 'role="alert"' in refused.text
        taken = await client.post("/dashboard/sign-in", data={"token": TOKEN}, headers=OWN)
        assert (taken.status_code, taken.headers["location"]) == (303, "/dashboard")
        cookie = taken.headers["set-cookie"].lower()
        assert all(word in cookie for word in ("httponly", "samesite=strict", "max-age=43200", "secure"))
        assert TOKEN not in cookie
        assert "data-panel" in (await client.get("/dashboard")).text
        assert (await client.get("/conversations")).status_code == 200
        assert (await client.post("/dead-letters/retry", json={"all": True})).status_code == 401
        assert (await client.post("/dead-letters/retry", json={"all": True}, headers=OWN)).status_code == 200
        await client.post("/dashboard/sign-out", headers=OWN)
        assert (await client.get("/dashboard")).status_code == 401


@pytest.mark.parametrize("path", ["/dashboard/sign-in", "/dashboard/sign-out"])
async def test_another_site_cannot_sign_in(options: Options, path: str):
    """A page of another site can neither sign a browser in nor out."""
    async with serving(options(admin_token=TOKEN)) as client:
        for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example.com"}, {}):
            assert (await client.post(path, data={"token": TOKEN}, headers=headers)).status_code == 403


async def test_a_large_form(options: Options):
    """More than a token is refused before it is all read."""
    async with serving(options(admin_token=TOKEN)) as client:
        assert (await client.post("/dashboard/sign-in", content=b"x" * 10_000, headers=OWN)).status_code == 413


async def test_the_log_names_no_token(options: Options):
    """Signing in is logged with the address, a wrong token once a minute and without what was tried."""
    async with serving(options(admin_token=TOKEN)) as client:
        with structlog.testing.capture_logs() as lines:
            for token in ("guessed", "guessed", TOKEN):
                await client.post("/dashboard/sign-in", data={"token": token}, headers=OWN)
    assert [line["event"] for line in lines] == ["dashboard: wrong token", "dashboard: signed in"]
    assert "guessed" not in str(lines)
    assert TOKEN not in str(lines)


# ---- the test burst ----


async def test_a_test_burst_takes_the_real_path(admin: httpx.AsyncClient):
    """Three messages of a made-up person make one burst."""
    for number in (1, 2, 3):
        answer = await admin.post("/dashboard/test-burst", json={"person": "5511900000099", "number": number})
        assert answer.json() == {"accepted": 1}
    (row,) = (await admin.get("/snapshot.json")).json()["pending"]
    assert (row["messages"], row["who"]["channel"]) == (3, "test")


@pytest.mark.parametrize(
    "body", [{"person": ANA.peer[:-4] + "1234", "number": 1}, {"person": "5511900000099", "number": 4}, {}]
)
async def test_no_other_person(admin: httpx.AsyncClient, body: dict[str, Any]):
    """Nobody can be written to by it who may be real."""
    assert (await admin.post("/dashboard/test-burst", json=body)).status_code == 400


async def test_a_test_burst_is_logged(admin: httpx.AsyncClient):
    """With where it goes and from where it came, as every action."""
    with structlog.testing.capture_logs() as lines:
        await admin.post("/dashboard/test-burst", json={"person": "5511900000099", "number": 1})
    told = [(line["action"], line["what"], line["from"]) for line in lines if "action" in line]
    assert told == [("test burst", "generic/test", "127.0.0.1")]


async def test_who_may_send_a_test_burst(options: Options):
    """With a token or WEBHOOK_ALLOW_UNSIGNED, and from the page itself."""
    body = {"person": "5511900000099", "number": 1}
    async with serving(options()) as client:
        assert (await client.post(f"{LOCAL}/dashboard/test-burst", json=body, headers=OWN)).status_code == 403
    async with serving(options(webhook_allow_unsigned=True)) as client:
        assert (await client.post(f"{LOCAL}/dashboard/test-burst", json=body, headers=OWN)).status_code == 200
        assert (await client.post(f"{LOCAL}/dashboard/test-burst", json=body)).status_code == 403
        assert "data-test-burst" in (await client.get(f"{LOCAL}/dashboard")).text
    async with serving(options(admin_token=TOKEN)) as client:
        assert (await client.post("/dashboard/test-burst", json=body, headers=OWN)).status_code == 401


# ---- the stream ----


def events_of(text: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of a stream with their data."""
    blocks = (dict(re.findall(r"^(event|data): (.*)$", block, re.MULTILINE)) for block in text.split("\n\n"))
    return [(block["event"], json.loads(block["data"])) for block in blocks if "event" in block]


async def test_the_stream_ends_by_itself(admin: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch):
    """It tells all panels first, then those that differ, never a number, and ends after a while."""
    await fill(store)
    monkeypatch.setattr("webhook.dashboard.routes.STREAM_S", 0.2)
    monkeypatch.setattr(broadcast, "EVERY_S", 0.05)
    monkeypatch.setattr(broadcast, "REST_FACTOR", 0)
    answer = await admin.get("/dashboard/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = events_of(answer.text)
    assert set(told[0][1]["panels"]) == {"strip", "pending", "timeline", "history", "held", "tuning", "health"}
    assert all("tuning" not in data["panels"] for _, data in told[1:])
    assert [secret for secret in SECRETS if secret in answer.text] == []


def reads(results: list[Any]) -> Callable[[], Any]:
    """A reader that counts its reads."""

    async def read() -> Any:
        results.append(object())
        return results[-1]

    return read


async def test_nobody_watches_nobody_reads(monkeypatch: pytest.MonkeyPatch):
    """Viewers share one reading, and after the last of them nothing is read."""
    monkeypatch.setattr(broadcast, "EVERY_S", 0.0)
    results: list[Any] = []
    caster = Broadcaster(reads(results))
    with caster.viewer(), caster.viewer():
        first, second = await asyncio.gather(caster.after(0), caster.after(0))
        assert first is second is not None
        assert await caster.current() is not None
    count = len(results)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(results) == count


async def test_viewers_are_bounded():
    """One more than VIEWERS_MAX is refused, until one has left."""
    caster = Broadcaster(reads([]))
    viewers = [caster.viewer() for _ in range(broadcast.VIEWERS_MAX)]
    for viewer in viewers:
        viewer.__enter__()
    with pytest.raises(TooManyViewers), caster.viewer():
        pass
    viewers.pop().__exit__(None, None, None)
    with caster.viewer():
        pass
    for viewer in viewers:
        viewer.__exit__(None, None, None)


async def test_closing_ends_every_stream():
    """Whoever waits gets the end, and nobody can watch any more."""
    never: asyncio.Event = asyncio.Event()

    async def read() -> Snapshot:
        await never.wait()
        raise AssertionError

    caster = Broadcaster(read)
    with caster.viewer():
        waiting = asyncio.create_task(caster.after(0))
        await asyncio.sleep(0)
        caster.close()
        async with asyncio.timeout(30):
            assert await waiting is None
    with pytest.raises(TooManyViewers), caster.viewer():
        pass


async def test_signals_are_given_back(options: Options, monkeypatch: pytest.MonkeyPatch):
    """While it serves, a signal ends the streams and then does what it did before; after it, only that."""
    monkeypatch.setattr("webhook.dashboard.shutdown.SIGNALS", (signal.SIGUSR1,))
    monkeypatch.setattr("webhook.dashboard.routes.STREAM_S", 0.0)
    came: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: came.append(number))
    try:
        async with serving(options()) as client:
            client.base_url = httpx.URL(LOCAL)
            signal.raise_signal(signal.SIGUSR1)
            await asyncio.sleep(0)  # the loop does what the signal has asked for
            answer = await client.get("/dashboard/events")
            assert (answer.status_code, came) == (503, [signal.SIGUSR1])
        signal.raise_signal(signal.SIGUSR1)
        assert came == [signal.SIGUSR1] * 2
    finally:
        signal.signal(signal.SIGUSR1, before)


async def test_redis_is_away_is_told(monkeypatch: pytest.MonkeyPatch):
    """A reading that failed is a tick without a snapshot."""
    monkeypatch.setattr(broadcast, "EVERY_S", 0.0)

    async def read() -> Snapshot:
        raise TimeoutError

    caster = Broadcaster(read)
    with caster.viewer():
        tick = await caster.after(0)
    assert tick is not None
    assert tick.snapshot is None
