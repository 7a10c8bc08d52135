"""`debouncer status`, `pending` and `dead`: what waits, what is dead, and how it is sent again."""

from __future__ import annotations

import sys

import pytest

from buffer.keys import Keys, ref_of
from tests.integration.agent import Answer
from tests.integration.deployment import person
from tests.integration.polling import until
from tests.integration.processes import Process
from tests.messages import message

ENDS_WITHIN_S = 20.0
ANA = "5511900000001"


@pytest.fixture
def ask(deploy):
    """Run a command beside the deployment: ask("dead", "retry", "--all") returns exit code and output."""

    def run(*arguments: str, **settings: object) -> tuple[int, str]:
        process: Process = deploy.run([sys.executable, "-m", "cli", *arguments], **settings)
        return process.wait(ENDS_WITHIN_S), process.log

    return run


@pytest.fixture
def deploy(start_deployment):
    """A deployment without processes."""
    return start_deployment()


def store_burst(deploy, peer: str, *names: str) -> None:
    """Store messages without a webhook."""
    deploy.ask(lambda store: store.append([message(name, person(peer)) for name in names]))


def make_dead(deploy, peer: str) -> str:
    """Make a dead letter. Returns its flush_id."""

    async def run(store) -> str:
        to = person(peer)
        await store.append([message(f"m-{peer}", to)])
        await store.flush_now(to)
        batch = (await store.claim(store.ref(to), "w1")).batch
        await store.fail(store.ref(to), batch.token, "the agent answered 500", delay_ms=0, dead=True)
        return str(batch.flush_id)

    return deploy.ask(run)


def test_nothing_waits(ask):
    """On an empty server every list says so."""
    assert ask("dead") == (0, "There are no dead letters.\n")
    assert ask("pending") == (0, "Nothing is pending.\n")
    code, status = ask("status")
    assert code == 0
    for words in (
        "waiting      0 conversations",
        "in flight    0 calls",
        "no dead letters",
        "none alive",
        "not suspended",
    ):
        assert words in status


@pytest.mark.parametrize("which", ["its id", "--all"])
def test_a_dead_letter_without_messages_is_not_sent_again(deploy, ask, which: str):
    """`dead retry` says what is the matter and what to do, and fails; the others are sent again."""
    flush_id, other = make_dead(deploy, ANA), make_dead(deploy, "5511900000002")
    deploy.redis.delete(Keys("deb").of(int(flush_id.partition("-")[0]), "remains", flush_id))
    code, said = ask("dead", "retry", *([flush_id, other] if which == "its id" else ["--all"]))
    assert code == 1
    assert f"{flush_id} cannot be sent again: its messages are gone from Redis; `debouncer dead discard`" in said
    assert (f"{other} will be sent again" if which == "its id" else "1 dead letter will be sent again.") in said
    assert ask("dead", "discard", flush_id)[0] == 0


def test_dead_letters_are_listed_and_sent_again(deploy, ask, agent):
    """A dead letter is listed without its number, sent again by its id, and then gone; the agent gets the same key."""
    flush_id = make_dead(deploy, ANA)
    code, listed = ask("dead")
    assert code == 0
    assert flush_id in listed
    assert "the agent answered 500" in listed
    assert ANA not in listed
    assert "1 dead letter." in listed
    code, said = ask("dead", "retry", flush_id)
    assert (code, "will be sent again" in said, "No worker is alive" in said) == (0, True, True)
    assert "already waits" in ask("dead", "retry", flush_id)[1]
    deploy.worker()
    until("it is sent again", lambda: agent.flushes() == {flush_id})
    until("it is gone", lambda: "no dead letters" in ask("status")[1])


def test_all_dead_letters_are_sent_again(deploy, ask, agent):
    """--all sends every dead letter again."""
    ids = {make_dead(deploy, f"551190000000{i}") for i in range(5)}
    code, said = ask("dead", "retry", "--all")
    assert (code, "5 dead letters will be sent again" in said) == (0, True)
    deploy.worker()
    until("all are sent again", lambda: agent.flushes() == ids)


def test_pages_of_dead_letters(deploy, ask):
    """A page has the oldest first, and says which rows it shows."""
    ids = [make_dead(deploy, f"551190000000{i}") for i in range(3)]
    code, page = ask("dead", "--limit", "1", "--offset", "1")
    assert code == 0
    assert [flush_id in page for flush_id in ids] == [False, True, False]
    assert "3 dead letters; 2 to 2 shown" in page


def test_discard(deploy, ask):
    """A discarded dead letter is gone, and an unknown id is exit code 1."""
    flush_id = make_dead(deploy, ANA)
    assert ask("dead", "discard", flush_id) == (0, f"{flush_id} discarded\n")
    assert ask("dead") == (0, "There are no dead letters.\n")
    for action in ("discard", "retry"):
        for unknown in (flush_id, "nonsense"):
            code, said = ask("dead", action, unknown)
            assert (code, "is no dead letter" in said, "Traceback" in said) == (1, True, False)


def test_retry_needs_a_choice(ask):
    """`dead retry` takes ids or --all, not nothing and not both."""
    assert ask("dead", "retry")[0] == 2
    assert ask("dead", "retry", "--all", "0-abc-1-def")[0] == 2


def test_pending_and_status(deploy, ask, agent):
    """Open bursts, batches between two attempts and calls in flight are told apart, without numbers."""
    agent.answer("5511900000002", Answer(status=500))
    agent.answer("5511900000003", Answer(held=True))
    deploy.worker(retry_base=200, retry_max=300, message_buffer_timeout=0.1)
    for peer in ("5511900000002", "5511900000003"):
        deploy.ask(lambda store, peer=peer: store.append([message("m1", person(peer))]), message_buffer_timeout=0.1)
    until("both are called", lambda: len(agent.calls) == 2)
    store_burst(deploy, ANA, "m1", "m2")
    deploy.ask(lambda store: store.pause(person(ANA), 600_000))
    until("one failed", lambda: "in back-off" in ask("pending")[1])
    code, listed = ask("pending")
    assert code == 0
    assert "in flight" in listed
    assert "paused" in listed
    assert "3 conversations pending" in listed
    assert ANA not in listed
    status = ask("status")[1]
    for words in ("in back-off  1 batch between", "in flight    1 call", "paused       1 conversation", "1 alive"):
        assert words in status
    agent.release()


def test_status_names_an_overdue_burst_of_a_suspended_queue(deploy, ask):
    """Under `rq suspend` status and check name the suspension and the burst that is overdue."""
    deploy.redis.set("rq:suspended", 1)
    deploy.ask(lambda store: store.append([message("m1", person(ANA))]), clock=lambda: 1_700_000_000_000)
    code, status = ask("status")
    assert (code, "suspended: no burst goes out" in status, "1 overdue, the oldest by" in status) == (0, True, True)
    flush_id = make_dead(deploy, "5511900000002")
    checked = ask("check")[1]
    assert "warning  queue" in checked
    assert "rq resume" in checked
    assert "warning  overdue" in checked
    assert "1 dead letter" in checked
    assert flush_id not in checked
    assert "All is well" not in checked


def test_check_names_another_deployment(deploy, ask):
    """Two deployments with one prefix on one Redis are told."""
    deploy.ask(lambda store: store.announce_owner("host-b"), agent_url="http://other.example.com/")
    checked = ask("check")[1]
    assert "warning  deployment" in checked
    assert "host-b" in checked


@pytest.mark.parametrize("command", ["status", "pending", "dead"])
def test_without_a_server(ask, command):
    """Without REDIS_URL and a running `up` the refusal names both, and an unreachable server is one line."""
    code, said = ask(command, redis_url="")
    assert (code, "no `debouncer up` runs in DATA_DIR=data" in said) == (2, True)
    code, said = ask(command, redis_url="redis://127.0.0.1:1/0")
    assert (code, "connection refused" in said, said.count("\n")) == (1, True, 1)


def test_broken_keys_stop_no_list(deploy, ask):
    """A key of the wrong type hides nothing else."""
    store_burst(deploy, ANA, "m1")
    store_burst(deploy, "5511900000002", "m1")
    ref = ref_of(person(ANA), 1)
    key = Keys("deb").of(ref.partition, "conv", ref.hash)
    deploy.redis.delete(key)
    deploy.redis.set(key, "x")
    assert "broken" in ask("pending")[1]
    assert "broken       1 conversation" in ask("status")[1]
