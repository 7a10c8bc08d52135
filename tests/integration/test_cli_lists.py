"""The lists of the commands as JSON, their filters and pages, and `debouncer stats`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from buffer.keys import ref_of
from buffer.models import Conversation
from buffer.prints import print_of
from buffer.reply_models import Ending, SendLimits
from buffer.reply_store import Replies
from buffer.store import Store
from tests.integration.deployment import Deployment
from tests.messages import message
from webhook.admin import models

ENDS_WITHIN_S = 30.0
LOJA = "evolution/loja"
TEXT = "your order left yesterday"
ANSWER = {"parts": [{"kind": "text", "text": TEXT}], "last": {}, "is_group": False, "handoff": False, "replies": []}
OPEN, DEAD, DOUBT = (f"551190000000{number}" for number in range(1, 4))

Ask = Callable[..., tuple[int, str]]


@pytest.fixture
def deploy(start_deployment: Callable[..., Deployment]) -> Deployment:
    """A deployment without processes."""
    return start_deployment()


@pytest.fixture
def ask(deploy: Deployment) -> Ask:
    """Run a command beside the deployment. Returns exit code and output."""

    def run(*arguments: str, **settings: object) -> tuple[int, str]:
        process = deploy.run([sys.executable, "-m", "cli", *arguments], **settings)
        return process.wait(ENDS_WITHIN_S), process.log

    return run


def evolution(peer: str) -> Conversation:
    return Conversation("evolution", "loja", peer)


async def claimed(store: Store, peer: str) -> str:
    """Store a burst and claim it. Returns the token of its lease."""
    await store.append([message(f"m-{peer}", evolution(peer), text=TEXT, name="Ana")])
    await store.flush_now(evolution(peer))
    batch = (await store.claim(store.ref(evolution(peer)), "w1")).batch
    assert batch is not None
    return batch.token


async def fill(store: Store) -> None:
    """Store an open burst, a dead letter whose error names the person, and a part in doubt."""
    await store.append([message("m1", evolution(OPEN)), message("m2", evolution(OPEN))])
    token = await claimed(store, DEAD)
    await store.fail(store.ref(evolution(DEAD)), token, f"the agent answered 500: {DEAD}", delay_ms=0, dead=True)
    token, ref = await claimed(store, DOUBT), store.ref(evolution(DOUBT))
    replies = Replies(store)
    await store.answered(ref, token, json.dumps(ANSWER).encode(), print_of(TEXT))
    await replies.begin_part(ref, token, 1, evolution(DOUBT), "own-1", SendLimits())
    ending = Ending("in_doubt", "", delay_ms=600_000, reason=f"{DOUBT}: no response")
    await replies.end_part(ref, token, 1, evolution(DOUBT), ending)
    await store.ack(ref, token)


@pytest.mark.parametrize(
    ("command", "body", "peers"),
    [
        ("pending", models.Conversations, {OPEN}),
        ("dead", models.DeadLettersBody, {DEAD}),
        ("doubt", models.DoubtsBody, {DOUBT}),
        ("flushes", models.Flushes, {DEAD, DOUBT}),
    ],
)
def test_json_is_that_of_the_admin_api(
    deploy: Deployment, ask: Ask, command: str, body: type[BaseModel], peers: set[str]
):
    """A list has the fields of the admin API and no others, masked unless --show is given."""
    deploy.ask(fill)
    for flags, is_shown in (((), False), (("--show",), True)):
        code, said = ask(command, "--json", *flags)
        assert (code, said.count("\n")) == (0, 1)
        assert body.model_validate_json(said, strict=True).model_dump(mode="json") == json.loads(said)
        assert {one["conversation"]["id"] for one in json.loads(said)["items"]} == peers or not is_shown
        assert any(peer in said for peer in (OPEN, DEAD, DOUBT)) == is_shown
        assert TEXT not in said or is_shown


def test_tables_are_masked_unless_shown(deploy: Deployment, ask: Ask):
    """Numbers stand in a table only with --show, also those that an error names."""
    deploy.ask(fill)
    for command, peer in (("dead", DEAD), ("flushes", DEAD)):
        masked, shown = ask(command)[1], ask(command, "--show")[1]
        assert (peer in masked, peer in shown) == (False, True)
        assert "the agent answered 500" in masked


def flushed(deploy: Deployment, number: int, peer: str = OPEN, gateway: str = "evolution") -> None:
    """Let a burst of one message be flushed and acked."""

    async def run(store: Store) -> None:
        who = Conversation(gateway, "loja", peer)
        await store.append([message(f"f-{number}", who)])
        await store.flush_now(who)
        batch = (await store.claim(store.ref(who), f"w{number}")).batch
        assert batch is not None
        await store.ack(store.ref(who), batch.token)

    deploy.ask(run)


def records(said: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(said)["items"]
    return found


def test_flushes_are_filtered_and_paged(deploy: Deployment, ask: Ask):
    """Filters leave records out, newest first, and a cursor goes on where a page ended."""
    for number in range(3):
        flushed(deploy, number)
    flushed(deploy, 3, DEAD)
    flushed(deploy, 4, gateway="waha")
    deploy.ask(lambda store: store.append([message("m1", evolution(DOUBT))]))
    deploy.ask(lambda store: store.discard(evolution(DOUBT)))
    by_gateway = records(ask("flushes", "--json", "--gateway", "waha")[1])
    assert [one["conversation"]["gateway"] for one in by_gateway] == ["waha"]
    assert len(records(ask("flushes", "--json", "--channel", LOJA, "--outcome", "acked")[1])) == 4
    of_one = ("flushes", "--json", "--conversation", LOJA, "+55 11 90000-0001")
    first = json.loads(ask(*of_one, "--limit", "2")[1])
    rest = json.loads(ask(*of_one, "--cursor", first["next_cursor"])[1])
    assert (len(first["items"]), len(rest["items"]), rest["next_cursor"]) == (2, 1, None)
    moments = [one["ended_ms"] for one in (*first["items"], *rest["items"])]
    assert moments == sorted(moments, reverse=True)
    by_ref = ask("flushes", "--conversation", str(ref_of(evolution(DOUBT), 1)))[1]
    assert "discarded (operator)" in by_ref
    assert "1 record." in by_ref
    code, said = ask("flushes", "--cursor", "nonsense")
    assert (code, "--cursor: this is no cursor" in said, "Traceback" in said) == (2, True, False)
    assert ask("flushes", "--outcome", "dead")[1] == "The history has no such record.\n"


def test_flushes_of_nobody(ask: Ask):
    """An unknown ref has no records; no ref, and filters that contradict each other, are refused in a sentence."""
    assert ask("flushes", "--conversation", "0-AAAAAAAAAAAAAAAA") == (0, "The history has no such record.\n")
    code, said = ask("flushes", "--conversation", "ana")
    assert (code, "'ana' is no conversation" in said) == (2, True)
    code, said = ask("flushes", "--gateway", "waha", "--channel", LOJA)
    assert (code, "name two gateways" in said) == (2, True)


def test_stats_are_what_was_counted(deploy: Deployment, ask: Ask):
    """The table and the JSON have what the scripts counted for each channel, and all together."""
    assert ask("stats") == (0, "Nothing was counted yet.\n")
    for number in range(3):
        flushed(deploy, number)
    deploy.ask(lambda store: store.append([message("m1", Conversation("waha", "5511900000009", OPEN))]))
    told = json.loads(ask("stats", "--json")[1])
    assert [(one["gateway"], one["channel"], one["calls"]) for one in told["channels"]] == [
        ("evolution", "loja", 3),
        ("waha", "5511*******09", 0),
    ]
    assert told["all"]["counters"]["messages_accepted"] == 4
    wait = told["channels"][0]["wait"]
    assert (wait["turns"], wait["split_share"], wait["premature_per_turn"], wait["calls_per_turn"]) == (1, 1, 2, 3)
    assert (wait["reply_mean_ms"], [one["window_s"] for one in told["windows"]]) == (None, [1, 3, 5, 8, 12])
    assert told["policy"] == f"fixed {told['window_s']:g} s"
    said = ask("stats")[1]
    rows = [line.split() for line in said.splitlines()]
    assert ["evolution/loja", "3", "3", "1.00", "0"] in [row[:5] for row in rows]
    assert ["all", "4", "3"] in [row[:3] for row in rows]
    assert ["evolution/loja", "1", "s", "1", "100.0"] in [row[:5] for row in rows]
    assert "This is a guess: the gaps of 2 turns are known" in said
    code, one = ask("stats", LOJA)
    assert (code, "evolution/loja" in one, "waha" in one) == (0, True, False)
    assert ask("stats", "evolution/other")[0] == 1


def test_status_as_json(deploy: Deployment, ask: Ask):
    """The counts of `status` are one object. The burst is open for as long as the command takes."""
    deploy.ask(fill, message_buffer_timeout=30, message_buffer_max_wait=60)
    code, said = ask("status", "--json")
    told = json.loads(said)
    assert code == 0
    assert (told["pending"], told["states"], told["dead"], told["doubts"]) == (1, {"open": 1}, 1, 1)
    assert (told["workers"], told["queue_suspended"], told["overdue"]) == ([], False, 0)
    assert told["due_ms"] > told["now_ms"]


def test_each_id_is_one_line_of_json(deploy: Deployment, ask: Ask):
    """What became of each id is told, also of those that are unknown; the exit code is as without JSON."""
    deploy.ask(fill)
    [letter] = records(ask("dead", "--json")[1])
    code, said = ask("dead", "discard", "--json", letter["flush_id"], "0-AAAAAAAAAAAAAAAA-1-b")
    results = [json.loads(line)["result"] for line in said.splitlines()]
    assert (code, results) == (1, ["ok", "unknown"])
    [doubt] = records(ask("doubt", "--json")[1])
    code, said = ask("doubt", "--json", "drop", "--all")
    assert (code, json.loads(said)) == (0, {"id": doubt["id"], "action": "drop", "result": "ok"})


def test_a_reader_that_leaves_is_no_error(deploy: Deployment):
    """The exit code is that of a death by SIGPIPE, and nothing is said."""
    process = deploy.run(["bash", "-c", f"set -o pipefail; {sys.executable} -m cli pending | true"])
    assert (process.wait(ENDS_WITHIN_S), process.log) == (141, "")
