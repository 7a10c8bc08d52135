"""`debouncer flush`, `discard` and `erase`: what is done to one conversation, and how it is named."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buffer.keys import ref_of
from buffer.models import Conversation
from buffer.store import Store
from tests.integration.deployment import Deployment
from tests.integration.pseudo_terminal import PseudoTerminal
from tests.messages import message
from webhook.admin import models

ENDS_WITHIN_S = 30.0
ANA = "5511900000001"
LOJA = "evolution/loja"
WHO = Conversation("evolution", "loja", ANA)
REF = str(ref_of(WHO, 1))
NOBODY = "Nobody by that name has written there"

Ask = Callable[..., tuple[int, str]]


@pytest.fixture
def deploy(start_deployment: Callable[..., Deployment]) -> Deployment:
    """A deployment without processes, whose windows do not end by themselves."""
    return start_deployment(message_buffer_timeout=600, message_buffer_max_wait=900, send_replies="off")


@pytest.fixture
def ask(deploy: Deployment) -> Ask:
    """Run a command beside the deployment. Nobody can answer its questions. Returns exit code and output."""

    def run(*arguments: str) -> tuple[int, str]:
        process = deploy.run([sys.executable, "-m", "cli", *arguments])
        return process.wait(ENDS_WITHIN_S), process.log

    return run


@pytest.fixture
def answer(deploy: Deployment, tmp_path: Path) -> Iterator[Callable[..., tuple[int, str]]]:
    """Run a command on a terminal and answer its question. Returns exit code and output."""
    opened: list[PseudoTerminal] = []

    def run(keys: str, *arguments: str) -> tuple[int, str]:
        opened.append(terminal := PseudoTerminal(list(arguments), deploy.settings, tmp_path))
        terminal.press(f"{keys}\n".encode())
        return terminal.wait(ENDS_WITHIN_S), terminal.text

    yield run
    for terminal in opened:
        terminal.close()


def write(deploy: Deployment, *names: str) -> None:
    """Store messages of Ana without a webhook."""
    deploy.ask(lambda store: store.append([message(name, WHO) for name in names]))


def test_a_burst_is_flushed_now(deploy: Deployment, ask: Ask):
    """It is due at once and goes out as one call with the reason `manual`; without a worker that is said."""
    write(deploy, "m1", "m2")
    code, said = ask("flush", LOJA, "+55 11 90000-0001")
    assert (code, "2 messages due now" in said, "No worker is alive" in said, ANA in said) == (0, True, True, False)
    deploy.worker()
    deploy.wait_calls(ANA)
    assert [call.content["reason"] for call in deploy.agent.calls_of(ANA)] == ["manual"]
    deploy.wait_drained()
    code, said = ask("flush", REF)
    assert (code, "no open burst" in said) == (0, True)


def test_a_ref_names_a_conversation(deploy: Deployment, ask: Ask):
    """Every action takes the ref that `pending` shows, and tells what it did as JSON."""
    write(deploy, "m1")
    told = [json.loads(line) for line in ask("flush", REF, "--json")[1].splitlines() if line.startswith("{")]
    assert told == [{"ref": REF, "messages": 1}]
    paused = json.loads(ask("pause", REF, "--for", "600", "--json")[1])
    assert (paused["ref"], paused["mode"], paused["was_known"]) == (REF, "hold", True)
    assert json.loads(ask("resume", REF, "--json")[1]) == {"ref": REF, "was_paused": True}
    assert json.loads(ask("discard", REF, "--json", "--yes")[1]) == {"ref": REF, "messages": 1, "in_flight": False}


def test_a_flush_of_a_paused_conversation_waits(deploy: Deployment, ask: Ask):
    """The burst is due and goes out when the pause ends: that is said."""
    write(deploy, "m1")
    deploy.ask(lambda store: store.pause(WHO, 600_000))
    assert "is paused until" in ask("flush", LOJA, ANA)[1]


@pytest.mark.parametrize("command", ["flush", "discard", "resume"])
def test_names_that_nobody_has(ask: Ask, command: str):
    """An unknown person and an unknown ref are told, and what is no name at all is refused."""
    code, said = ask(command, LOJA, ANA)
    assert (code, NOBODY in said) == (1, True)
    code, said = ask(command, REF)
    assert (code, f"nothing is known of a conversation {REF}" in said) == (1, True)
    for wrong, hint in (
        ("7-AAAAAAAAAAAAAAAA", "no conversation"),
        (LOJA, "needs a person"),
        ("ana", "no conversation"),
    ):
        code, said = ask(command, wrong)
        assert (code, hint in said, "Traceback" in said) == (2, True, False)


def test_nothing_is_discarded_or_erased_without_a_yes(deploy: Deployment, ask: Ask, answer: Ask):
    """A no, and nobody to ask, leave all as it is; the question says how much it is about."""
    write(deploy, "m1", "m2")
    for command, nothing in (("discard", "Nothing was discarded"), ("erase", "Nothing was erased")):
        code, said = ask(command, LOJA, ANA)
        assert (code, nothing in said) == (1, True)
        assert ("Discard 2 messages of" in said) == (command == "discard")
        assert answer("n", command, LOJA, ANA)[0] == 1
    assert deploy.pending() == 1


def test_a_discard_is_recorded(deploy: Deployment, ask: Ask, answer: Ask):
    """After a yes the burst is gone, with a record and without a call."""
    write(deploy, "m1", "m2")
    code, said = answer("y", "discard", LOJA, ANA)
    assert (code, "2 messages discarded, with a record" in said) == (0, True)
    assert deploy.pending() == 0
    assert "discarded (operator)" in ask("flushes")[1]
    code, said = ask("discard", LOJA, ANA)
    assert (code, "nothing to discard" in said, "[y/N]" in said) == (0, True, False)


def test_a_discard_of_a_call_in_flight(deploy: Deployment, ask: Ask):
    """The batch at the agent is given up when its worker hears of it, and that is said."""
    write(deploy, "m1")

    async def claim(store: Store) -> None:
        await store.flush_now(WHO)
        await store.claim(store.ref(WHO), "w1")

    deploy.ask(claim)
    code, said = ask("discard", LOJA, ANA, "--yes")
    assert (code, "its call is given up" in said) == (0, True)


@pytest.mark.parametrize("by", ["name", "ref"])
def test_a_person_is_erased(deploy: Deployment, ask: Ask, by: str):
    """What was removed is counted, and what may still happen is said; a second erase finds nothing."""
    write(deploy, "m1", "m2")
    named = [LOJA, ANA] if by == "name" else [REF]
    code, said = ask("erase", *named, "--yes")
    assert code == 0
    for words in ("1 conversation, 2 messages, 0 dead letters", "What may still happen", "counts as new"):
        assert words in said
    assert ANA not in said
    assert not [key for key in deploy.redis.scan_iter("deb:*") if REF.partition("-")[2].encode() in key]
    code, said = ask("erase", *named, "--yes", "--json")
    body = models.ErasedBody.model_validate_json(said, strict=True)
    assert (code, body.found, body.messages) == (1, False, 0)
    assert "Nothing is held of" in ask("erase", *named, "--yes")[1]
