"""What a flush does after a failed call, and what it tells the operator."""

from __future__ import annotations

from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from agents.results import AgentFailure, AgentReply
from buffer.keys import Ref
from buffer.models import Batch, Claim, Conversation, EndedBatch, Failure, Outcome, Reason, StoredMessage
from buffer.store import Store
from gateways.sending import Part
from worker.agents import Agents
from worker.flush import Flusher
from worker.retry_delay import JITTER

REF = Ref(0, "0123456789abcdef")
PEER = "5511900000011"
WHO = Conversation("generic", "loja", PEER)
DOWN = AgentFailure("the agent cannot be reached: nobody listens at agent:80 (connection refused)", sent=False)
BROKEN = AgentFailure("the agent answered 500")


def batch(messages: int = 1, attempt: int = 1, failures: int = 0) -> Batch:
    """A batch with so many messages."""
    stored = tuple(StoredMessage(number, {"text": "oi"}) for number in range(messages))
    return Batch("t", "flush-1", attempt, failures, Reason.QUIET, WHO, None, 1, 1, 1, "\n", None, stored)


class FakeStore:
    """Hands out one batch and records how its attempt ends."""

    def __init__(self, batch: Batch, outcome: Outcome, ended: EndedBatch | None) -> None:
        self.batch = batch
        self.ended = ended
        self.outcome = outcome
        self.ends: list[tuple[str, dict[str, Any]]] = []

    async def claim(self, ref: Ref, caller: str) -> Claim:
        return Claim("batch", self.batch, None, self.ended)

    async def renew(self, ref: Ref, token: str) -> Outcome:
        return Outcome.OK

    async def end_attempt(self, ref: Ref, token: str, failure: Failure) -> Outcome:
        verb = failure.mode if failure.mode in ("unreached", "held") else "fail"
        self.ends.append((verb, {**failure._asdict(), "dead": failure.mode == "dead"}))
        return self.outcome

    async def answered(self, ref: Ref, token: str, answer: bytes, prints: bytes, **how: Any) -> Outcome:
        return Outcome.OK

    async def ack(self, ref: Ref, token: str, **how: Any) -> Outcome:
        self.ends.append(("ack", how))
        return self.outcome

    def coalesce(self, verb: str, encode: Any) -> None:
        """No test here sends a part."""


class FakeAgent:
    """Answers every call the same."""

    def __init__(self, result: AgentReply | AgentFailure) -> None:
        self.result = result

    async def held(self, batch: Batch) -> AgentFailure | None:
        return None

    async def call(self, batch: Batch) -> AgentReply | AgentFailure:
        return self.result


async def flush(
    make_settings,
    one: Batch,
    result: AgentReply | AgentFailure,
    outcome: Outcome = Outcome.OK,
    ended: EndedBatch | None = None,
    **overrides: Any,
) -> tuple[str, tuple[str, dict[str, Any]], list[Any]]:
    """Flush; returns the result, how the attempt ended in the store, and the log lines."""
    store = FakeStore(one, outcome, ended)
    settings = make_settings(agent_url="http://agent/", **overrides)
    flusher = Flusher(cast(Store, store), cast(Agents, FakeAgent(result)), settings)
    with capture_logs() as lines:
        word = await flusher.flush(REF)
    (end,) = store.ends
    return word, end, list(lines)


async def test_an_attempt_that_never_left_does_not_count(make_settings):
    """It ends as `unreached` with AGENT_GIVE_UP as its limit; the log says that it is not counted."""
    word, (verb, how), lines = await flush(make_settings, batch(), DOWN, agent_give_up=7.5)
    assert (word, verb, how["give_up_ms"]) == ("retry", "unreached", 7_500)
    (line,) = [line for line in lines if line["event"] == "flush failed"]
    assert (line["outcome"], line["counted"], line["log_level"]) == ("retry", False, "warning")
    assert line["retry_in_s"] > 0


@pytest.mark.parametrize(("attempt", "failures", "expected_s"), [(1, 0, 5), (2, 0, 10), (4, 2, 10), (300, 0, 300)])
async def test_the_back_off_of_attempts_that_never_left(make_settings, attempt, failures, expected_s):
    """RETRY_BASE, doubled with each of them, at most RETRY_MAX. Failures that count do not make it longer."""
    _, (_, how), _ = await flush(make_settings, batch(1, attempt, failures), DOWN)
    assert abs(how["delay_ms"] / 1000 - expected_s) <= expected_s * JITTER


@pytest.mark.parametrize(("attempt", "failures", "expected_s"), [(1, 0, 5), (9, 1, 10), (99, 50, 300)])
async def test_the_back_off_of_failures(make_settings, attempt, failures, expected_s):
    """A night of attempts that never left does not make the wait after the first failure longer."""
    word, (verb, how), lines = await flush(make_settings, batch(1, attempt, failures), BROKEN)
    assert (word, verb, how["dead"]) == ("retry", "fail", False)
    assert abs(how["delay_ms"] / 1000 - expected_s) <= expected_s * JITTER
    assert lines[-1]["outcome"] == "retry"
    assert lines[-1]["counted"] is True


async def test_a_dead_letter_is_an_error_of_its_own(make_settings):
    """The line says who, how many, why, and what to do; the number is masked."""
    word, _, lines = await flush(make_settings, batch(3, 8, 7), BROKEN, Outcome.DEAD)
    assert word == "dead"
    line = lines[-1]
    assert line["log_level"] == "error"
    assert line["event"] == (
        "dead letter: 3 messages of 5511*******11 were not delivered after 8 attempts (the agent answered 500); "
        "`debouncer dead` lists it and sends it again"
    )
    assert (line["flush_id"], line["outcome"]) == ("flush-1", "dead")
    assert not any(PEER in str(value) for one in lines for value in one.values() if one is line)


async def test_a_dead_letter_of_one_message_that_never_left(make_settings):
    """Attempts that do not count are counted here: they are what the operator has seen in the log."""
    _, _, lines = await flush(make_settings, batch(1, 290, 0), DOWN, Outcome.DEAD)
    assert "dead letter: 1 message of 5511*******11 was not delivered after 290 attempts (the agent cannot" in str(
        lines[-1]["event"]
    )


@pytest.mark.parametrize(
    ("ended", "event"),
    [
        (
            EndedBatch("dead", "flush-0", 2, 20, "the worker died 20 times with this batch", WHO),
            "dead letter: 2 messages of 5511*******11 were not delivered after 20 attempts (the worker died 20 times "
            "with this batch); `debouncer dead` lists it and sends it again",
        ),
        (
            EndedBatch("lost", "flush-0", 0, 1, "", WHO),
            "messages lost: a batch of 5511*******11 can no",
        ),
        (
            EndedBatch("lost", "", 3, 0, "", WHO),
            "messages lost: 3 messages of 5511*******11 can no",
        ),
    ],
)
async def test_a_batch_that_the_claim_ended_is_an_error(make_settings, ended: EndedBatch, event: str):
    """What a claim ends is told, and the flush of the next batch goes on."""
    word, _, lines = await flush(make_settings, batch(), AgentReply(), ended=ended)
    (line,) = [line for line in lines if line["log_level"] == "error"]
    assert (word, line["event"].startswith(event), line["outcome"]) == ("acked", True, ended.outcome)


@pytest.mark.parametrize(("messages", "words"), [(1, "1 mensagem"), (2, "2 mensagens")])
async def test_the_marker_of_a_flush(make_settings, messages, words):
    """One message is singular."""
    word, _, lines = await flush(make_settings, batch(messages), AgentReply())
    assert word == "acked"
    assert lines[0]["event"] == f"🔄 Iniciando processamento de {words}"


@pytest.mark.parametrize(
    ("reply", "taken"),
    [
        (AgentReply(not_understood="HTML"), "taken as no reply"),
        (AgentReply((Part(text="oi"),), not_understood="part 2"), "the rest is taken"),
        (AgentReply(handoff=True, not_understood="part 1"), "the rest is taken"),
    ],
)
async def test_what_was_not_understood(make_settings, reply, taken):
    """The log says what was not understood, and whether anything else was."""
    word, _, lines = await flush(make_settings, batch(), reply)
    warnings = [line for line in lines if line["log_level"] == "warning" and "answer" in line]
    assert word == "acked"
    assert [line["event"] for line in warnings] == [f"the agent's answer was not understood; {taken}"]
    assert warnings[0]["answer"] == reply.not_understood


@pytest.mark.parametrize("result", [BROKEN, DOWN, AgentReply()])
async def test_a_batch_that_was_taken_back(make_settings, result):
    """One line at INFO says so, with a masked number, and nothing says that the flush has failed."""
    word, _, lines = await flush(make_settings, batch(2), result, Outcome.SUPERSEDED)
    (line,) = [line for line in lines if line["event"].startswith("batch taken back")]
    assert (word, line["log_level"], line["messages"]) == ("superseded", "info", 2)
    assert line["event"] == "batch taken back: 5511*******11 goes on writing; the agent gets everything in one"
    assert not [line for line in lines if line["log_level"] in ("warning", "error")]


async def test_a_batch_that_the_claim_took_back(make_settings):
    """The same line, if no worker was at the batch."""
    ended = EndedBatch("superseded", "flush-0", 2, 1, "", WHO)
    word, _, lines = await flush(make_settings, batch(), AgentReply(), ended=ended)
    assert word == "acked"
    assert [line["flush_id"] for line in lines if line["event"].startswith("batch taken back")] == ["flush-0"]


@pytest.mark.parametrize("outcome", [Outcome.LOST, Outcome.CANCELLED])
async def test_no_line_says_ok_beside_a_failure(make_settings, outcome):
    """The outcome in the log is what became of the batch."""
    _, _, lines = await flush(make_settings, batch(), BROKEN, outcome)
    assert [line["outcome"] for line in lines if line["event"] == "flush failed"] == [outcome.value]
