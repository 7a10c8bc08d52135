"""`debouncer doubt`, `pause`, `resume` and `check --send`, and what `status` and `check` say about replies."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator

import pytest

from buffer.models import Conversation, PauseMode
from buffer.prints import print_of
from buffer.reply_models import Ending, SendLimits, Status
from buffer.reply_store import Replies
from buffer.store import Store
from tests.gateway_stubs.base import Fault
from tests.gateway_stubs.evolution import KEY, EvolutionStub
from tests.integration.deployment import Deployment
from tests.integration.polling import until
from tests.messages import message

ENDS_WITHIN_S = 20.0
ANA = "5511900000001"
LOJA = "evolution/loja"
OWN_ID = "3EB0C0FFEE"
TEXT = "your order left yesterday"
ANSWER = {"parts": [{"kind": "text", "text": TEXT}], "last": {}, "is_group": False, "handoff": False, "replies": []}

Ask = Callable[..., tuple[int, str]]


@pytest.fixture
def stub() -> Iterator[EvolutionStub]:
    one = EvolutionStub()
    one.open()
    yield one
    one.close()


@pytest.fixture
def deploy(start_deployment: Callable[..., Deployment], stub: EvolutionStub) -> Deployment:
    """A deployment without processes, whose replies go to the stub."""
    return start_deployment(evolution_url=stub.url, evolution_api_key=KEY)


@pytest.fixture
def ask(deploy: Deployment) -> Ask:
    """Run a command beside the deployment. Returns exit code and output."""

    def run(*arguments: str, **settings: object) -> tuple[int, str]:
        process = deploy.run([sys.executable, "-m", "cli", *arguments], **settings)
        return process.wait(ENDS_WITHIN_S), process.log

    return run


def evolution(peer: str) -> Conversation:
    return Conversation("evolution", "loja", peer)


def end_part(deploy: Deployment, peer: str, end: str, reason: str) -> str:
    """Store a burst and its answer, begin its one part, and end it so. Returns the id of the part."""

    async def run(store: Store) -> str:
        who = evolution(peer)
        ref, replies = store.ref(who), Replies(store)
        await store.append([message("m1", who)])
        await store.flush_now(who)
        batch = (await store.claim(ref, "w1")).batch
        assert batch is not None
        await store.answered(ref, batch.token, json.dumps(ANSWER).encode(), print_of(TEXT))
        await replies.begin_part(ref, batch.token, 1, who, OWN_ID, SendLimits())
        ending = Ending(end, batch.flush_id, delay_ms=600_000, reason=reason)  # type: ignore[arg-type]
        await replies.end_part(ref, batch.token, 1, who, ending)
        if end == "in_doubt":
            await store.ack(ref, batch.token)
        return f"{batch.flush_id}.1"

    return deploy.ask(run)


def in_doubt(deploy: Deployment, peer: str = ANA) -> str:
    return end_part(deploy, peer, "in_doubt", "the gateway did not answer within 30 s")


def test_nothing_is_in_doubt(ask: Ask):
    """Without doubt every command says so."""
    assert ask("doubt") == (0, "Nothing is in doubt.\n")
    assert ask("doubt", "drop", "--all") == (0, "Nothing is in doubt.\n")
    assert "in doubt     no part of an answer" in ask("status")[1]


def test_a_doubt_is_listed_without_its_text(deploy: Deployment, ask: Ask):
    """The list has id, age, person and reason. The text needs --text, and the number is never shown."""
    doubt_id = in_doubt(deploy)
    code, listed = ask("doubt")
    assert code == 0
    for shown in (doubt_id, " ago", "evolution/loja 5511", "the gateway did not answer within 30 s", "1 part in doubt"):
        assert shown in listed
    assert TEXT not in listed
    assert ANA not in listed
    assert TEXT in ask("doubt", "list", "--text")[1]
    assert "1 part of answers, of" in ask("status")[1]
    assert "warning  in doubt" in ask("check")[1]


def test_a_doubt_is_sent_again(deploy: Deployment, ask: Ask, stub: EvolutionStub):
    """It leaves once more, alone and without a call to the agent, and is in doubt no longer."""
    doubt_id = in_doubt(deploy)
    code, said = ask("doubt", "send", doubt_id)
    assert (code, f"{doubt_id} will be sent again" in said, "No worker is alive" in said) == (0, True, True)
    deploy.worker()
    until("the person has it", lambda: stub.texts(ANA) == [TEXT])
    deploy.wait_drained()
    assert deploy.agent.calls == []
    assert ask("doubt") == (0, "Nothing is in doubt.\n")


def test_doubts_are_dropped(deploy: Deployment, ask: Ask):
    """One or all of them are dropped, and the page has the oldest first."""
    ids = [in_doubt(deploy, f"551190000000{number}") for number in range(3)]
    page = ask("doubt", "--limit", "1", "--offset", "1")[1]
    assert [doubt_id in page for doubt_id in ids] == [False, True, False]
    assert "3 parts in doubt; 2 to 2 shown" in page
    assert ask("doubt", "drop", ids[0]) == (0, f"{ids[0]} dropped\n")
    assert ask("doubt", "drop", "--all")[1].splitlines() == [f"{doubt_id} dropped" for doubt_id in ids[1:]]
    assert ask("doubt") == (0, "Nothing is in doubt.\n")


def test_a_part_that_failed_is_a_dead_letter(deploy: Deployment, ask: Ask, stub: EvolutionStub):
    """The list calls it a part of an answer, not a batch without messages, and a retry sends it without a call."""
    doubt_id = in_doubt(deploy)
    failed = Status("failed", own_id=OWN_ID, reason="the person has blocked us")
    deploy.ask(lambda store: Replies(store).part_status("evolution", "loja", failed))
    listed = ask("dead")[1]
    for shown in (doubt_id, "a part of an answer", "the person has blocked us"):
        assert shown in listed
    assert "discard it" not in listed
    assert ask("dead", "retry", doubt_id)[0] == 0
    deploy.worker()
    until("the person has it", lambda: stub.texts(ANA) == [TEXT])
    deploy.wait_drained()
    assert deploy.agent.calls == []


@pytest.mark.parametrize("action", ["send", "drop"])
def test_ids_that_are_not_in_doubt(ask: Ask, action: str):
    """A settled id, nonsense, no id, and ids beside --all are refused."""
    for unknown in ("0-abc-1-def.1", "nonsense"):
        code, said = ask("doubt", action, unknown)
        assert (code, f"{unknown} is not in doubt" in said, "Traceback" in said) == (1, True, False)
    assert ask("doubt", action)[0] == 2
    assert ask("doubt", action, "--all", "0-abc-1-def.1")[0] == 2


def test_status_and_check_name_a_held_channel(deploy: Deployment, ask: Ask):
    """A channel through which nothing can be sent is named with the gateway's reason, and its replies as waiting."""
    end_part(deploy, ANA, "misconfigured", "the key is wrong (EVOLUTION_API_KEY)")
    status = ask("status")[1]
    assert "evolution/loja: its replies wait since" in status
    assert "the key is wrong (EVOLUTION_API_KEY)" in status
    assert "1 answer with parts that wait" in status
    assert "replying" in ask("pending")[1]
    assert "warning  held" in ask("check")[1]


def test_missing_credentials_are_named(ask: Ask):
    """Status and check say for each open gateway what to set for its answers to be sent."""
    status = ask("status", evolution_api_key="")[1]
    assert "evolution: answers are not sent: set EVOLUTION_API_KEY" in status
    assert "generic: answers are not sent: set GENERIC_REPLY_URL" in status
    assert "evolution: answers are not sent: set EVOLUTION_API_KEY" in ask("check", evolution_api_key="")[1]
    assert "evolution: answers" not in ask("status")[1]


def test_a_person_is_paused_and_resumed(deploy: Deployment, ask: Ask):
    """A pause holds what they write until the resume, and a number may be written as people do."""
    deploy.ask(lambda store: store.append([message("m1", evolution(ANA))]))
    code, said = ask("pause", LOJA, "+55 11 90000-0001", "--for", "600")
    assert (code, "is paused until" in said, "Nobody by that name" in said, ANA in said) == (0, True, False, False)
    deploy.worker()
    assert "paused       1 conversation" in ask("status")[1]
    assert deploy.agent.calls == []
    code, said = ask("resume", LOJA, ANA)
    assert (code, "goes on" in said) == (0, True)
    deploy.wait_calls(ANA)
    code, said = ask("resume", LOJA, ANA)
    assert (code, "is not paused" in said) == (0, True)


def test_a_takeover_discards(deploy: Deployment, ask: Ask):
    """With --takeover what waited is discarded, and the resume brings nothing back."""
    deploy.ask(lambda store: store.append([message("m1", evolution(ANA))]))
    code, said = ask("pause", LOJA, ANA, "--takeover")
    assert (code, "a human answers" in said) == (0, True)
    assert ask("resume", LOJA, ANA)[0] == 0
    deploy.worker()
    deploy.wait_drained()
    assert deploy.agent.calls == []


def test_names_that_nobody_has(deploy: Deployment, ask: Ask):
    """A channel that cannot be is refused, and a person who has never written is told."""
    for channel, hint in (("evolutoin/loja", "did you mean evolution/loja?"), ("evolution", "evolution/CHANNEL")):
        code, said = ask("pause", channel, ANA)
        assert (code, hint in said) == (2, True)
    assert ask("pause", LOJA, ANA, "--for", "0")[0] == 2
    code, said = ask("resume", LOJA, ANA)
    assert (code, "Nobody by that name has written" in said) == (1, True)
    code, said = ask("pause", LOJA, ANA)
    assert (code, "Nobody by that name has written" in said) == (0, True)
    assert deploy.ask(lambda store: store.resume(evolution(ANA)))


def test_a_test_message_is_sent(ask: Ask, stub: EvolutionStub):
    """`check --send` sends one message with the gateway's sender, after a yes or with --yes."""
    code, said = ask("check", "--send", LOJA, ANA)
    assert (code, "Nothing was sent" in said, stub.requests) == (1, True, [])
    code, said = ask("check", "--send", LOJA, ANA, "--yes")
    assert (code, "the gateway's id of it is 3EB0" in said, ANA in said) == (0, True, False)
    assert [entry.text[:22] for entry in stub.journal] == ["This is a test message"]
    assert stub.violations == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("lost"), "Nobody knows whether it reached"),
        (Fault("status", status=401, body={"error": "Unauthorized"}), "the key is wrong (EVOLUTION_API_KEY"),
    ],
    ids=["lost", "401"],
)
def test_a_test_message_that_fails(ask: Ask, stub: EvolutionStub, fault: Fault, said: str):
    """What the gateway did with it is told in words, with exit code 1."""
    stub.faults = {1: fault}
    code, shown = ask("check", "--send", LOJA, ANA, "--yes")
    assert (code, said in shown, KEY in shown, ANA in shown) == (1, True, False, False)


def test_a_test_message_without_an_address(ask: Ask, stub: EvolutionStub):
    """Chatwoot tells the account of a conversation in its webhook. Without it the reason is told, and no traceback."""
    desk = {"chatwoot_url": stub.url, "chatwoot_api_token": KEY}
    code, said = ask("check", "--send", "chatwoot/9", "12", "--yes", **desk)
    assert (code, "Not sent to chatwoot/9" in said, "the account is not known" in said) == (1, True, True)
    assert "Traceback" not in said
    assert stub.requests == []


def test_a_test_message_without_credentials(ask: Ask, stub: EvolutionStub):
    """What is missing is named, and nothing is asked."""
    code, said = ask("check", "--send", LOJA, ANA, evolution_api_key="")
    assert (code, "set EVOLUTION_API_KEY" in said, stub.requests) == (2, True, [])


def test_pause_modes_have_words():
    """Every mode of a pause is told in words."""
    from cli.commands.pause import MODES

    assert set(MODES) == set(PauseMode)
