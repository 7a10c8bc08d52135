"""The admin API: who may ask, what each answer shows, what each action does, and what wrong requests get."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

import httpx
import pytest
import structlog

from buffer.errors import StoreUnavailable
from buffer.held_agent_calls import Strike
from buffer.held_agents import HeldAgents
from buffer.held_lists import HeldLists
from buffer.keys import ref_of
from buffer.models import Conversation, Failure
from buffer.prints import print_of
from buffer.reply_models import Ending, SendLimits
from buffer.reply_store import Replies
from buffer.store import Store
from config.settings import Settings
from tests.messages import message
from tests.servers import Server, free_port
from tests.webhook_client import serving
from webhook.admin.gate import BODY_MAX

pytestmark = pytest.mark.server

TOKEN = "a-token-for-operators"
BEARER = {"authorization": f"Bearer {TOKEN}"}
ANA = Conversation("evolution", "loja", "5511900000001")
BIA = Conversation("evolution", "loja", "5511900000002")
TEXT = "quero cancelar o pedido de flores"
NAME = "Alba Quintanilha"
LOCAL = "http://127.0.0.1:8000"
NOBODY = f"0-{'x' * 16}"
NO_LETTER = f"{NOBODY}-1-abcdef"
SECRETS = (ANA.peer, BIA.peer, TEXT, NAME)

Serve = Callable[..., Any]


@pytest.fixture
def store(valkey: Server, open_store: Callable[..., Store]) -> Store:
    """The same buffer as that of the service, under the server's own time."""
    found = open_store(valkey, message_buffer_timeout=600, message_buffer_max_wait=3600)
    found._clock = None
    return found


@pytest.fixture
def options(make_settings: Callable[..., Settings], valkey: Server) -> Callable[..., Settings]:
    """Settings of a service on the Valkey server."""
    return lambda **others: make_settings(redis_url=valkey.url, **others)


@pytest.fixture
async def admin(options: Callable[..., Settings]) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the token."""
    async with serving(options(admin_token=TOKEN)) as client:
        client.headers.update(BEARER)
        yield client


@pytest.fixture
async def local(options: Callable[..., Settings]) -> AsyncIterator[httpx.AsyncClient]:
    """A client on the same machine, of a service without a token."""
    async with serving(options()) as client:
        client.base_url = httpx.URL(LOCAL)
        yield client


def ref(who: Conversation = ANA) -> str:
    return str(ref_of(who, 1))


async def say(store: Store, *ids: str, to: Conversation = ANA) -> None:
    await store.append([message(one, to, text=TEXT, name=NAME) for one in ids])


async def bury(store: Store, message_id: str = "m1", to: Conversation = ANA, error: str = "HTTP 400") -> str:
    """Make a dead letter of a message. Return its flush_id."""
    await say(store, message_id, to=to)
    await store.flush_now(to)
    batch = (await store.claim(store.ref(to), f"w-{message_id}")).batch
    assert batch is not None
    await store.fail(store.ref(to), batch.token, error, delay_ms=0, dead=True)
    return batch.flush_id


# ---- who may ask ----

GETS = (
    *("/conversations", "/flushes", "/dead-letters", "/dead-letters/export"),
    *("/replies/doubts", "/replies/doubts/export", "/agents"),
)
READS = (*GETS, f"/conversations/{NOBODY}", f"/dead-letters/{NO_LETTER}")
ACTIONS = (
    *(f"/conversations/{NOBODY}/{verb}" for verb in ("flush", "discard", "pause", "resume")),
    *("/conversations/erase", "/conversations/find", "/dead-letters/retry"),
    *(f"/dead-letters/{NO_LETTER}/{verb}" for verb in ("retry", "discard")),
    *(f"/replies/doubts/{NO_LETTER}.1/{verb}" for verb in ("send", "drop")),
)
EVERYTHING = [
    *(("GET", path) for path in READS),
    *(("POST", path) for path in ACTIONS),
    ("DELETE", f"/conversations/{NOBODY}"),
]


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
async def test_nobody_without_the_token(options, method: str, path: str):
    """With ADMIN_TOKEN every path wants it, from this machine too, and says so before it looks at anything."""
    async with serving(options(admin_token=TOKEN)) as client:
        client.base_url = httpx.URL(LOCAL)
        for headers in ({}, {"authorization": "Bearer another"}, {"authorization": TOKEN}, {"x-forwarded-for": "::1"}):
            answer = await client.request(method, path, headers=headers, content=b"{")
            assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-for": "127.0.0.1"},
        {"forwarded": "for=127.0.0.1"},
        {"x-real-ip": "127.0.0.1"},
        {"host": "bot.example.com"},
        {"origin": "https://evil.example.com"},
        {"origin": "null", "content-type": "text/plain"},
        {"origin": "http://localhost:3000"},
        {"sec-fetch-site": "cross-site"},
    ],
    ids=str,
)
async def test_only_this_machine(local: httpx.AsyncClient, method: str, path: str, headers: dict[str, str]):
    """Without ADMIN_TOKEN a request through a proxy, for another name or from another site is refused."""
    answer = await local.request(method, path, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")
    assert "ADMIN_TOKEN" in answer.json()["detail"]


@pytest.mark.parametrize("peer", ["203.0.113.7", "10.0.0.1", "::ffff:203.0.113.7"])
async def test_no_other_address(options, peer: str):
    """Without ADMIN_TOKEN an address of another machine is refused, whatever its headers say."""
    async with serving(options()) as client:
        transport: Any = client._transport
        transport.client = (peer, 1)
        answer = await client.get(f"{LOCAL}/conversations", headers={"x-forwarded-for": "127.0.0.1"})
        assert answer.status_code == 403
        assert (await client.get(f"{LOCAL}/conversations")).status_code == 403


async def test_other_paths_need_no_token(options):
    """The gate stands before the admin API only."""
    async with serving(options(admin_token=TOKEN)) as client:
        for path in ("/", "/healthz", "/readyz", "/openapi.json", "/docs", "/conversationsx"):
            assert (await client.get(path)).status_code in (200, 404)


# ---- what is shown ----


async def everything_shown(client: httpx.AsyncClient, flush_id: str) -> str:
    """Return all that the reads answer."""
    paths = [*GETS, f"/conversations/{ref()}", f"/dead-letters/{flush_id}"]
    answers = [await client.get(path) for path in paths]
    assert [answer.status_code for answer in answers] == [200] * len(paths)
    return "\n".join(answer.text for answer in answers)


async def test_without_a_token_everything_is_masked(local: httpx.AsyncClient, store: Store):
    """No answer has a number, a name or a text, also not the reason of a dead letter."""
    flush_id = await bury(store, error=f"the gateway refused {ANA.peer}")
    await say(store, "m2")
    shown = await everything_shown(local, flush_id)
    assert [secret for secret in SECRETS if secret in shown] == []
    assert "5511*******01" in shown


async def test_the_token_shows_everything(admin: httpx.AsyncClient, store: Store):
    """With the token, numbers, names and texts are there."""
    flush_id = await bury(store)
    await say(store, "m2")
    shown = await everything_shown(admin, flush_id)
    assert [secret for secret in (ANA.peer, TEXT, NAME) if secret not in shown] == []


async def test_list_of_conversations(admin: httpx.AsyncClient, store: Store):
    """Pages go from the soonest on, and every conversation is on one of them."""
    people = [Conversation("evolution", "loja", f"55119000000{i:02}") for i in range(5)]
    for person in people:
        await say(store, "m1", to=person)
    seen: list[tuple[int, str]] = []
    cursor = None
    while True:
        params: dict[str, Any] = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await admin.get("/conversations", params=params)).json()
        assert (page["total"], len(page["items"]) <= 2) == (5, True)
        seen += [(item["due_ms"], item["conversation"]["id"]) for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [due_ms for due_ms, _ in seen] == sorted(due_ms for due_ms, _ in seen)
    assert sorted(peer for _, peer in seen) == [person.peer for person in people]


async def test_list_by_state(admin: httpx.AsyncClient, store: Store):
    """A state leaves the others out."""
    await say(store, "m1")
    await store.pause(BIA, 60_000)
    page = (await admin.get("/conversations", params={"state": "paused"})).json()
    assert [(item["ref"], item["state"]) for item in page["items"]] == [(ref(BIA), "paused")]


async def test_look(admin: httpx.AsyncClient, store: Store):
    """A look shows state, moments and messages."""
    await say(store, "m1", "m2")
    found = (await admin.get(f"/conversations/{ref()}")).json()
    assert found["conversation"] == {"gateway": "evolution", "channel": "loja", "id": ANA.peer, "name": NAME}
    assert (found["state"], found["burst_messages"]) == ("open", 2)
    assert [one["text"] for one in found["burst"]] == [TEXT, TEXT]
    assert found["deadline_ms"] - found["opened_ms"] > 0


async def test_find(admin: httpx.AsyncClient, store: Store):
    """A person is found by their number, without its standing in an address."""
    await say(store, "m1")
    who = {"gateway": ANA.gateway, "channel": ANA.channel, "id": ANA.peer}
    assert (await admin.post("/conversations/find", json=who)).json() == {"ref": ref()}
    assert (await admin.post("/conversations/find", json=who | {"id": "1"})).status_code == 404


async def test_flushes(admin: httpx.AsyncClient, store: Store):
    """What ended is listed, and a filter leaves the rest out."""
    flush_id = await bury(store)
    await say(store, "m2", to=BIA)
    await store.discard(BIA)
    both = (await admin.get("/flushes")).json()["items"]
    assert [item["outcome"] for item in both] == ["discarded", "dead"]
    [dead] = (await admin.get("/flushes", params={"outcome": "dead"})).json()["items"]
    assert (dead["flush_id"], dead["messages"]) == (flush_id, 1)


# ---- actions ----


async def test_flush(admin: httpx.AsyncClient, store: Store):
    """A burst is due at once."""
    await say(store, "m1")
    assert (await admin.post(f"/conversations/{ref()}/flush")).json() == {"messages": 1}
    assert (await store.claim(store.ref(ANA), "w1")).status == "batch"


async def test_discard(admin: httpx.AsyncClient, store: Store):
    """A burst is discarded."""
    await say(store, "m1", "m2")
    assert (await admin.post(f"/conversations/{ref()}/discard")).json() == {"messages": 2, "in_flight": False}


async def test_pause_and_resume(admin: httpx.AsyncClient, store: Store):
    """A pause has a default, a length and a mode, and ends once."""
    await say(store, "m1")
    for body, mode in ((None, "hold"), ({"seconds": 60, "mode": "takeover"}, "takeover")):
        answer = await admin.post(f"/conversations/{ref()}/pause", json=body)
        assert answer.json()["paused_until_ms"] > 0
        assert (await admin.get(f"/conversations/{ref()}")).json()["pause_mode"] == mode
    assert (await admin.post(f"/conversations/{ref()}/resume")).json() == {"was_paused": True}
    assert (await admin.post(f"/conversations/{ref()}/resume")).json() == {"was_paused": False}


async def test_erase(admin: httpx.AsyncClient, store: Store, prefix: str):
    """A person is erased by ref or by name, and a second time nothing is found.

    The channel is this test's own: jobs that another test has left in RQ would be found, too.
    """
    person = Conversation("evolution", prefix, ANA.peer)
    who = {"gateway": person.gateway, "channel": person.channel, "id": person.peer}
    by_name = partial(admin.post, "/conversations/erase", json=who)
    for erase in (partial(admin.delete, f"/conversations/{ref(person)}"), by_name):
        await bury(store, to=person)
        await say(store, "m2", to=person)
        first, second = (await erase()).json(), (await erase()).json()
        assert first == {
            **{
                "found": True,
                "conversations": 1,
                "messages": 2,
                "dead_letters": 1,
                "doubts": 0,
                "records": 1,
                "jobs": 0,
            }
        }
        assert (second["found"], set(second.values())) == (False, {0})
        assert (await admin.get(f"/conversations/{ref(person)}")).status_code == 404


async def test_dead_letters(admin: httpx.AsyncClient, store: Store):
    """Pages go from the oldest on; entries that go meanwhile shift nothing."""
    made = [await bury(store, f"m{i}") for i in range(5)]
    first = (await admin.get("/dead-letters", params={"limit": 2})).json()
    assert ([item["flush_id"] for item in first["items"]], first["total"]) == (made[:2], 5)
    for flush_id in made[:2]:
        assert (await admin.post(f"/dead-letters/{flush_id}/discard")).json() == {"flush_id": flush_id}
    rest = (await admin.get("/dead-letters", params={"cursor": first["next_cursor"]})).json()
    assert [item["flush_id"] for item in rest["items"]] == made[2:]
    assert rest["next_cursor"] is None


async def test_look_at_a_dead_letter(admin: httpx.AsyncClient, store: Store):
    """Its error, its attempts and its messages are shown."""
    flush_id = await bury(store)
    found = (await admin.get(f"/dead-letters/{flush_id}")).json()
    assert (found["error"], found["attempts"], found["messages"], found["reason"]) == ("HTTP 400", 1, 1, "manual")
    assert [one["text"] for one in found["shown"]] == [TEXT]
    assert found["conversation"]["name"] == NAME


async def test_retry_one(admin: httpx.AsyncClient, store: Store):
    """A dead letter is redriven once; one without its messages cannot be."""
    flush_id = await bury(store)
    for result in ("ok", "already"):
        assert (await admin.post(f"/dead-letters/{flush_id}/retry")).json() == {"flush_id": flush_id, "result": result}
    gone = await bury(store, "m2", BIA)
    await store.client.delete(store.keys.of(0, "remains", gone))
    answer = await admin.post(f"/dead-letters/{gone}/retry")
    assert (answer.status_code, answer.json()["error"]) == (409, "gone")


async def test_retry_group(admin: httpx.AsyncClient, store: Store):
    """Those that are named are redriven; unknown ones are told."""
    made = [await bury(store, f"m{i}") for i in range(3)]
    body = {"flush_ids": [*made[:2], NO_LETTER, "nonsense"]}
    answer = (await admin.post("/dead-letters/retry", json=body)).json()
    assert answer == {"ok": 2, "already": 0, "failed": [NO_LETTER, "nonsense"], "next_cursor": None}
    assert [item["redriven_ms"] is None for item in (await admin.get("/dead-letters")).json()["items"]] == [0, 0, 1]


async def test_retry_all(admin: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch):
    """All are redriven in steps, or those of a channel."""
    monkeypatch.setattr("webhook.admin.dead_letters.RETRY_PAGE", 2)
    for i in range(3):
        await bury(store, f"m{i}")
    await bury(store, "n1", Conversation("evolution", "outra", BIA.peer))
    body: dict[str, Any] = {"all": True, "gateway": "evolution", "channel": "loja"}
    done = 0
    while True:
        answer = (await admin.post("/dead-letters/retry", json=body)).json()
        done += answer["ok"]
        if answer["next_cursor"] is None:
            break
        body["cursor"] = answer["next_cursor"]
    assert done == 3
    assert (await admin.post("/dead-letters/retry", json={"all": True})).json()["already"] == 2


async def test_export(admin: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch):
    """Every dead letter is a line of JSON, whatever the size of the steps."""
    monkeypatch.setattr("webhook.admin.dead_letters.EXPORT_PAGE", 2)
    made = [await bury(store, f"m{i}") for i in range(5)]
    answer = await admin.get("/dead-letters/export")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [line["flush_id"] for line in lines] == made
    assert [one["text"] for line in lines for one in line["shown"]] == [TEXT] * 5


async def test_an_export_that_breaks_off_says_so(
    admin: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch
):
    """If Redis goes away on the way, the last line is an error: nobody takes the file for whole."""
    monkeypatch.setattr("webhook.admin.dead_letters.EXPORT_PAGE", 2)
    made = [await bury(store, f"m{i}") for i in range(3)]
    look_at = HeldLists.look_at

    async def fail_at_the_end(lists: HeldLists, flush_ids: Sequence[str], limit: int = 100) -> Any:
        if made[-1] in flush_ids:
            raise StoreUnavailable("Redis cannot be reached")
        return await look_at(lists, flush_ids, limit)

    monkeypatch.setattr(HeldLists, "look_at", fail_at_the_end)
    lines = [json.loads(line) for line in (await admin.get("/dead-letters/export")).text.splitlines()]
    assert [line.get("flush_id") for line in lines] == [*made[:2], None]
    assert (lines[-1]["error"], "not complete" in lines[-1]["detail"]) == ("unavailable", True)


async def test_doubts(admin: httpx.AsyncClient, store: Store):
    """A part in doubt is listed with its text, and sent again or dropped."""
    doubts = [await doubt(store, f"m{i}") for i in range(2)]
    found = (await admin.get("/replies/doubts")).json()
    assert ([item["id"] for item in found["items"]], found["total"]) == (doubts, 2)
    assert [item["text"] for item in found["items"]] == [TEXT, TEXT]
    for doubt_id, action in zip(doubts, ("send", "drop"), strict=True):
        answer = await admin.post(f"/replies/doubts/{doubt_id}/{action}")
        assert answer.json() == {"id": doubt_id, "action": action}
        assert (await admin.post(f"/replies/doubts/{doubt_id}/{action}")).status_code == 404


async def test_export_of_doubts(admin: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch):
    """Every part in doubt is a line of JSON, with its text for those who may see it, whatever the size of the steps."""
    monkeypatch.setattr("webhook.admin.replies.EXPORT_PAGE", 2)
    made = [await doubt(store, f"m{i}") for i in range(5)]
    with structlog.testing.capture_logs() as told:
        answer = await admin.get("/replies/doubts/export")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [(line["id"], line["text"]) for line in lines] == [(one, TEXT) for one in made]
    assert [(line["action"], line["what"]) for line in told] == [("export", "all parts in doubt")]


async def test_agents_that_are_held(admin: httpx.AsyncClient, store: Store):
    """Each with its address, since when, why, and how many wait."""
    assert (await admin.get("/agents")).json()["items"] == []
    agents = HeldAgents(store)
    for number in range(2):
        await agents.strike(Strike("tag", f"p{number}", 2, 5_000, 600_000, "http://agent", "the agent answered 404"))
    await say(store, "m1")
    await store.flush_now(ANA)
    batch = (await store.claim(store.ref(ANA), "w1")).batch
    assert batch is not None
    await store.end_attempt(store.ref(ANA), batch.token, Failure("held", 60_000, "held", agent="tag"))
    found = (await admin.get("/agents")).json()
    [item] = found["items"]
    assert {name: item[name] for name in ("id", "address", "reason", "waiting")} == {
        "id": "tag",
        "address": "http://agent",
        "reason": "the agent answered 404",
        "waiting": 1,
    }
    assert item["since_ms"] <= found["now_ms"] < item["probe_ms"]


async def test_an_answer_needs_its_token(options: Callable[..., Settings], store: Store):
    """The token of answers opens that path and no other; without any, only this machine may post."""
    path = f"/flushes/{NO_LETTER}/answer"
    async with serving(options(admin_token=TOKEN, agent_answer_token="of-the-agent")) as client:
        own = {"authorization": "Bearer of-the-agent"}
        assert [(await client.post(path, headers=headers)).status_code for headers in (own, BEARER)] == [404, 404]
        assert (await client.post(path)).status_code == 401
        assert (await client.get(path, headers=own)).status_code == 401
        assert [(await client.get(other, headers=own)).status_code for other in GETS] == [401] * len(GETS)
    async with serving(options(agent_answer_token="of-the-agent")) as client:
        assert (await client.post(path, headers={**own, "x-forwarded-for": "192.0.2.1"})).status_code == 404
        assert (await client.post(path, headers={"x-forwarded-for": "192.0.2.1"})).status_code == 403


async def doubt(store: Store, message_id: str) -> str:
    """Bring a part of an answer in doubt. Return its id."""
    await say(store, message_id)
    await store.flush_now(ANA)
    batch = (await store.claim(store.ref(ANA), f"w-{message_id}")).batch
    assert batch is not None
    answer = json.dumps({"parts": [{"text": TEXT}]}).encode()
    await store.answered(store.ref(ANA), batch.token, answer, print_of(TEXT))
    replies = Replies(store)
    await replies.begin_part(store.ref(ANA), batch.token, 1, ANA, None, SendLimits())
    await replies.end_part(store.ref(ANA), batch.token, 1, ANA, Ending("in_doubt", batch.flush_id))
    await store.ack(store.ref(ANA), batch.token)
    return f"{batch.flush_id}.1"


async def test_every_action_is_logged(admin: httpx.AsyncClient, store: Store):
    """A line says what was done, to what and from where, and never names the person in clear."""
    flush_id = await bury(store)
    await say(store, "m2")
    who = {"gateway": ANA.gateway, "channel": ANA.channel, "id": ANA.peer}
    with structlog.testing.capture_logs() as lines:
        await admin.get(f"/conversations/{ref()}")
        for verb in ("flush", "pause", "resume", "discard"):
            await admin.post(f"/conversations/{ref()}/{verb}")
        await admin.get("/dead-letters/export")
        for verb in ("retry", "discard"):
            await admin.post(f"/dead-letters/{flush_id}/{verb}")
        await admin.post("/conversations/erase", json=who)
        await say(store, "m3")
        await admin.delete(f"/conversations/{ref()}")
    told = [(line["action"], line["what"], line["from"]) for line in lines]
    assert [action for action, _, _ in told] == [
        *("look", "flush", "pause", "resume", "discard", "export", "retry", "discard", "erase", "erase")
    ]
    assert {origin for _, _, origin in told} == {"127.0.0.1"}
    assert [what for _, what, _ in told][:2] == [ref(), ref()]
    assert [secret for secret in (*SECRETS, TOKEN) if secret in str(lines)] == []
    assert ref() not in str([line for line in lines if line["action"] == "erase"])


async def test_refusals_are_logged_without_the_token(options):
    """A refused request is told with its address, once a minute, and without what it tried."""
    async with serving(options(admin_token=TOKEN)) as client:
        with structlog.testing.capture_logs() as lines:
            for _ in range(3):
                await client.get("/conversations", headers={"authorization": "Bearer guessed"})
    assert [line["from"] for line in lines] == ["127.0.0.1"]
    assert "guessed" not in str(lines)


# ---- wrong requests ----

WHO = {"gateway": "evolution", "channel": "loja", "id": "1"}
WRONG: list[tuple[str, str, Any, int, str]] = [
    ("GET", "/conversations?limit=0", None, 400, "limit"),
    ("GET", "/conversations?limit=201", None, 400, "limit"),
    ("GET", "/conversations?limit=many", None, 400, "limit"),
    ("GET", "/conversations?limit=-1", None, 400, "limit"),
    ("GET", "/conversations?limit=1000000000", None, 400, "limit"),
    ("GET", "/conversations?limit=", None, 400, "limit"),
    ("GET", "/conversations?cursor=nonsense", None, 400, "cursor"),
    ("GET", "/conversations?cursor=", None, 400, "cursor"),
    ("GET", f"/conversations?cursor={'9' * 20}~0-a", None, 400, "cursor"),
    ("GET", f"/conversations?cursor=0.{'9' * 20}", None, 400, "cursor"),
    ("GET", f"/flushes?cursor={'9' * 21}.0.0", None, 400, "cursor"),
    ("GET", "/conversations?state=nonsense", None, 400, "state"),
    ("GET", "/flushes?cursor=nonsense", None, 400, "cursor"),
    ("GET", "/flushes?ref=nonsense", None, 400, "ref"),
    ("GET", "/dead-letters?cursor=nonsense", None, 400, "cursor"),
    ("GET", "/dead-letters?limit=1000", None, 400, "limit"),
    ("GET", "/replies/doubts?cursor=1~", None, 400, "cursor"),
    ("GET", f"/conversations/{NOBODY}", None, 404, "GET /conversations"),
    ("GET", "/conversations/nonsense", None, 404, "GET /conversations"),
    ("GET", f"/conversations/9-{'x' * 16}", None, 404, "GET /conversations"),
    ("GET", f"/dead-letters/{NO_LETTER}", None, 404, "GET /dead-letters"),
    ("GET", "/dead-letters/nonsense", None, 404, "GET /dead-letters"),
    ("POST", f"/conversations/{NOBODY}/flush", None, 404, "GET /conversations"),
    ("POST", f"/conversations/{NOBODY}/discard", None, 404, "GET /conversations"),
    ("POST", f"/conversations/{NOBODY}/pause", None, 404, "GET /conversations"),
    ("POST", f"/conversations/{NOBODY}/resume", None, 404, "GET /conversations"),
    ("POST", f"/conversations/{NOBODY}/pause", {"seconds": 0}, 400, "seconds"),
    ("POST", f"/conversations/{NOBODY}/pause", {"second": 60}, 400, "second"),
    ("POST", f"/conversations/{NOBODY}/pause", {"mode": "sleep"}, 400, "mode"),
    ("POST", f"/dead-letters/{NO_LETTER}/retry", None, 404, "GET /dead-letters"),
    ("POST", f"/dead-letters/{NO_LETTER}/discard", None, 404, "GET /dead-letters"),
    ("POST", f"/replies/doubts/{NO_LETTER}.1/send", None, 404, "GET /replies/doubts"),
    ("POST", "/replies/doubts/nonsense/drop", None, 404, "GET /replies/doubts"),
    ("POST", "/dead-letters/retry", {}, 400, "flush_ids"),
    ("POST", "/dead-letters/retry", {"flush_ids": []}, 400, "flush_ids"),
    ("POST", "/dead-letters/retry", {"all": True, "flush_ids": ["a"]}, 400, "all"),
    ("POST", "/dead-letters/retry", {"all": True, "cursor": "nonsense"}, 400, "cursor"),
    ("POST", "/conversations/erase", {"gateway": "evolution"}, 400, "channel"),
    ("POST", "/conversations/erase", WHO | {"id": ""}, 400, "id"),
    ("POST", "/conversations/erase", WHO | {"peer": "1"}, 400, "peer"),
    ("POST", "/conversations/erase", None, 400, "body"),
    ("DELETE", "/conversations/nonsense", None, 404, "GET /conversations"),
    ("DELETE", "/conversations/0-a", None, 404, "GET /conversations"),
    ("DELETE", "/conversations", None, 405, "DELETE"),
    ("PUT", f"/conversations/{NOBODY}", None, 405, "PUT"),
    ("GET", "/conversations/a/b/c", None, 404, "nothing here"),
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: f"{wrong[0]} {wrong[1][:40]} {wrong[4]}")
async def test_wrong_request(admin: httpx.AsyncClient, wrong: tuple[str, str, Any, int, str]):
    """A clear error in the one form, which names the field and says what to do."""
    method, path, body, status, word = wrong
    answer = await admin.request(method, path, json=body)
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "detail"}
    assert word in answer.json()["detail"]


async def test_error_repeats_no_number(admin: httpx.AsyncClient):
    """What was given wrongly is not repeated: it may be a person's number."""
    answer = await admin.post(
        "/conversations/erase", json={"gateway": "evolution", "channel": [ANA.peer], "id": ANA.peer}
    )
    assert answer.status_code == 400
    assert ANA.peer not in answer.text


async def test_error_repeats_no_name_of_a_field(admin: httpx.AsyncClient):
    """A field of the body may have a number or a text as its name."""
    for name in (ANA.peer, TEXT):
        answer = await admin.post("/conversations/erase", json=WHO | {name: 1})
        assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")
        assert name not in answer.text


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"null"])
async def test_body_that_is_no_object(admin: httpx.AsyncClient, body: bytes):
    """A body that is no JSON object gets a clear error."""
    headers = {"content-type": "application/json"}
    answer = await admin.post("/conversations/erase", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")


async def test_large_body(admin: httpx.AsyncClient):
    """A body beyond the limit is refused, also when nothing tells its size before."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * BODY_MAX

    assert (await admin.post("/conversations/erase", content=b" " * (BODY_MAX + 1))).status_code == 413
    assert (await admin.post("/conversations/erase", content=pieces())).status_code == 400


async def test_large_body_that_means_something(admin: httpx.AsyncClient, store: Store):
    """A body beyond the limit does nothing, also if it is a whole request and nothing tells its size before."""
    flush_id = await bury(store)

    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"all": true'
        yield b" " * BODY_MAX
        yield b"}"

    answer = await admin.post("/dead-letters/retry", content=pieces(), headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert (await admin.get(f"/dead-letters/{flush_id}")).json()["redriven_ms"] is None


async def test_redis_is_away(make_settings: Callable[..., Settings]):
    """Without Redis every path answers 503 and says why."""
    settings = make_settings(redis_url=f"redis://127.0.0.1:{free_port()}", admin_token=TOKEN)
    async with serving(settings) as client:
        for path in READS:
            answer = await client.get(path, headers=BEARER)
            assert (answer.status_code, answer.json()["error"]) == (503, "unavailable")
            assert "retry-after" in answer.headers
