"""From the burst to the person's screen: what the gateway gets, in which order, and what a crash makes of it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest

from tests.gateway_stubs.base import Fault
from tests.gateway_stubs.evolution import EvolutionStub
from tests.integration.agent import Answer
from tests.integration.deployment import CRASHES, Deployment
from tests.integration.polling import until
from tests.integration.processes import Worker
from tests.integration.reply_line import GROUP, SENDS, ReplyLine, replying

ANA = "5511900000011"
EVA = "5511900000012"
THREE = ("one", "two", "three")


@pytest.fixture
def stub() -> Iterator[EvolutionStub]:
    one = EvolutionStub()
    one.open()
    yield one
    one.close()


@pytest.fixture
def line(stub: EvolutionStub, start_deployment: Callable[..., Deployment]) -> Callable[..., ReplyLine]:
    """Start a deployment that sends its replies to the stub: line(reply_typing_cps=10)."""

    def start(**settings: object) -> ReplyLine:
        return ReplyLine(start_deployment(**{**SENDS, "evolution_url": stub.url, **settings}), stub)

    return start


def events(worker: Worker, level: str) -> list[str]:
    """The log lines of a level."""
    return [line["event"] for line in worker.log_lines() if line["level"] == level]


def test_a_burst_is_answered_once_and_in_order(line, stub):
    """Four messages, one call, three parts, all of them with our id and no more than the gateway allows."""
    way = line()
    way.deployment.agent.answer(ANA, replying(*THREE))
    worker = way.deployment.worker()
    way.say(ANA, "oi", "tudo bem?", "queria saber", "do pedido")
    way.wait_heard(ANA, THREE)
    way.wait_idle()
    (call,) = way.calls_of(ANA)
    assert call.texts == ["oi", "tudo bem?", "queria saber", "do pedido"]
    assert way.hears(ANA) == list(THREE)
    assert stub.violations == []
    assert all(entry.own_id for entry in stub.journal)
    assert way.counters()["parts_sent"] == 3
    assert (way.doubts(), way.dead()) == ([], [])
    assert not [line for line in worker.log_lines() if ANA in str(line) or "one" in line["event"].split()]


def test_the_next_burst_waits_for_the_parts(line):
    """What the person writes between two parts is answered after the last one."""
    way = line()
    way.deployment.agent.answer(ANA, replying(*THREE), replying("four"))
    way.deployment.worker()
    way.say(ANA, "oi")
    until("the first part is out", lambda: way.hears(ANA))
    way.say(ANA, "e agora?")
    way.wait_heard(ANA, (*THREE, "four"))
    way.wait_idle()
    assert len(way.calls_of(ANA)) == 2


@pytest.mark.parametrize(
    ("point", "heard", "doubted"),
    [
        ("worker_after_answered", THREE, []),
        ("worker_before_part", THREE, []),
        ("worker_after_part_marked", ("two", "three"), [1]),
        ("worker_after_part_sent", THREE, [1]),
    ],
)
def test_a_worker_that_dies_sends_no_part_twice(line, stub, point, heard, doubted):
    """The agent is called once. A part whose fate nobody knows is in doubt and listed, and the rest is sent."""
    stub.echoes_on = False
    way = line(**CRASHES)
    way.deployment.agent.answer(ANA, replying(*THREE))
    doomed = way.deployment.worker(debouncer_kill_at=point)
    way.say(ANA, "oi")
    assert doomed.wait() == -signal.SIGKILL
    second = way.deployment.worker()
    way.wait_heard(ANA, heard)
    way.wait_idle()
    assert way.hears(ANA) == list(heard)
    assert [doubt.number for doubt in way.doubts()] == doubted
    assert len(way.calls_of(ANA)) == 1
    assert way.dead() == []
    assert stub.violations == []
    assert len([line for line in events(second, "warning") if "`debouncer doubt`" in line]) == len(doubted)


TURNED_AWAY = [Fault("status", status=429, headers={"Retry-After": "1"}), Fault("status", status=503)]


@pytest.mark.parametrize("fault", TURNED_AWAY, ids=["429", "503"])
def test_a_part_that_was_turned_away_is_sent_later(line, stub, fault):
    """It had no effect: it comes again, before the parts behind it."""
    stub.faults = {2: fault, 3: fault}
    way = line()
    way.deployment.agent.answer(ANA, replying(*THREE))
    way.deployment.worker()
    way.say(ANA, "oi")
    way.wait_heard(ANA, THREE)
    way.wait_idle()
    assert (way.doubts(), way.dead(), len(way.calls_of(ANA))) == ([], [], 1)


def test_a_gateway_that_is_down_gets_the_parts_when_it_is_up(line, stub):
    """Refused connections lose nothing, and the order stays."""
    way = line()
    way.deployment.agent.answer(ANA, replying(*THREE))
    way.deployment.agent.answer(EVA, replying(*THREE))
    worker = way.deployment.worker()
    stub.shut()
    way.say(ANA, "oi")
    way.say(EVA, "oi")
    until("parts were put back", lambda: "part put back" in events(worker, "warning"))
    stub.open()
    for who in (ANA, EVA):
        way.wait_heard(who, THREE)
    way.wait_idle()
    assert (way.doubts(), way.dead()) == ([], [])
    assert [len(way.calls_of(who)) for who in (ANA, EVA)] == [1, 1]


def test_a_refused_part_is_a_dead_letter_of_parts(line, stub):
    """It is redriven without the agent, from the part that was refused on."""
    gone = {"status": 400, "error": "Bad Request", "response": {"message": [{"exists": False, "number": ANA}]}}
    stub.faults = {2: Fault("status", status=400, body=gone)}
    way = line()
    way.deployment.agent.answer(ANA, replying(*THREE))
    worker = way.deployment.worker()
    way.say(ANA, "oi")
    until("a dead letter", way.dead)
    (letter,) = way.dead()
    assert "not on WhatsApp" in letter.error
    assert way.hears(ANA) == ["one"]
    (told,) = events(worker, "error")
    assert "was not sent from part 2 on (the number is not on WhatsApp)" in told
    way.deployment.ask(lambda store: store.redrive(letter.flush_id))
    way.wait_heard(ANA, THREE)
    way.wait_idle()
    assert len(way.calls_of(ANA)) == 1
    assert way.dead() == []


def test_a_misconfigured_channel_holds_its_replies(line, stub):
    """One loud line, nothing lost; a probe finds that it works again."""
    stub.fault_of = lambda number: Fault("status", status=401)
    way = line()
    for who in (ANA, EVA):
        way.deployment.agent.answer(who, replying("one"))
    worker = way.deployment.worker()
    way.say(ANA, "oi")
    way.say(EVA, "oi")
    until("both have been answered", lambda: len(way.deployment.agent.calls) == 2 and events(worker, "error"))
    held = way.deployment.redis.keys("*:held:*")
    assert len(held) == 1
    stub.fault_of = lambda number: None
    way.deployment.redis.hset(held[0], "until_ms", 0)
    for name in way.deployment.redis.zrange("deb:{p0}:wake", 0, -1):
        way.deployment.redis.hset(f"deb:{{p0}}:conv:{name.decode()}", "retry_at_ms", 0)
        way.deployment.redis.zadd("deb:{p0}:wake", {name: 0})
    for who in (ANA, EVA):
        way.wait_heard(who, ("one",))
    way.wait_idle()
    (told,) = events(worker, "error")
    assert "no reply can be sent through this channel of evolution" in told
    assert "EVOLUTION_API_KEY" in told
    assert "replies to evolution are sent again" in events(worker, "info")


def test_a_group_is_answered_with_a_quote(line, stub):
    """The first part quotes the last message of the burst, the others do not."""
    way = line(groups_enabled=True)
    way.deployment.agent.default = replying("one", "two")
    way.deployment.worker()
    *_, last = way.say(ANA, "bom dia", "alguem?", group=GROUP)
    way.wait_heard(GROUP, ("one", "two"))
    way.wait_idle()
    sent = [request.json for request in stub.requests if "sendText" in request.path]
    assert [fields.get("quoted") for fields in sent] == [{"key": {"id": last}}, None]
    assert stub.violations == []


def test_the_agent_hands_over(line):
    """After the parts the conversation is paused for a human: what comes then is recorded and not answered."""
    way = line()
    way.deployment.agent.answer(ANA, replying("a colleague will answer you", handoff=True))
    way.deployment.worker()
    way.say(ANA, "quero falar com uma pessoa")
    way.wait_heard(ANA, ["a colleague will answer you"])
    until("the batch is acked", lambda: way.counters()["acked"] == 1)
    way.say(ANA, "alo?")
    way.deployment.wait_drained(left=1)
    assert len(way.calls_of(ANA)) == 1
    assert way.hears(ANA) == ["a colleague will answer you"]


def test_the_pace_of_a_person(line, stub):
    """Each part waits as long as a person would type it; the moment stands in Redis, so a crash keeps it."""
    way = line(reply_typing_cps=20, **CRASHES)
    way.deployment.agent.answer(ANA, replying("x" * 40, "y" * 40))
    worker = way.deployment.worker()
    way.say(ANA, "oi")
    until("the answer is stored", lambda: "Agente gerou" in worker.log)
    worker.kill()
    way.deployment.worker()
    way.wait_heard(ANA, ["x" * 40, "y" * 40])
    way.wait_idle()
    first, second = (entry.at_s for entry in stub.journal)
    assert second - first >= 2.0
    (call,) = way.calls_of(ANA)
    assert stub.typing
    assert call.ended_ms is not None


def test_typing_while_the_agent_thinks(line, stub):
    """The person sees it before the answer, and an error of it costs nothing."""
    way = line(reply_mark_read=True)
    way.deployment.agent.answer(ANA, Answer(200, b'{"reply": "one"}', "application/json", delay_s=1.0))
    way.deployment.worker()
    (last,) = way.say(ANA, "oi")
    until("the indicator is shown", lambda: stub.typing == [ANA])
    assert way.hears(ANA) == []
    way.wait_heard(ANA, ["one"])
    assert stub.read == [last]


def test_without_credentials_answers_are_kept(line, stub):
    """Nothing is sent, which is said once for a channel, and the answer is acked as before."""
    way = line(evolution_api_key="")
    way.deployment.agent.default = replying("one")
    worker = way.deployment.worker()
    for who in (ANA, EVA):
        way.say(who, "oi")
    way.wait_idle()
    assert stub.requests == []
    told = [line for line in events(worker, "warning") if "answers are not sent" in line]
    assert told == ["answers are not sent: set EVOLUTION_API_KEY"]
    assert way.counters()["acked"] == 2


def test_doubt_at_the_gateway_does_not_hold_the_rest(line, stub):
    """A reset after the request: the part is in doubt, and the next one leaves."""
    stub.faults = {1: Fault("lost")}
    stub.echoes_on = False
    way = line()
    way.deployment.agent.answer(ANA, replying(*THREE))
    worker = way.deployment.worker()
    way.say(ANA, "oi")
    way.wait_heard(ANA, THREE)
    way.wait_idle()
    (doubt,) = way.doubts()
    assert doubt.number == 1
    assert [line for line in events(worker, "warning") if "`debouncer doubt`" in line]


def test_a_zombie_between_mark_and_send_sends_nothing(line, stub):
    """A worker stands still with a part marked: another takes over, and the first sends nothing when it wakes."""
    stub.echoes_on = False
    way = line(**CRASHES)
    stub.faults = {1: Fault("slow", after_s=1.0)}
    way.deployment.agent.answer(ANA, replying(*THREE))
    zombie = way.deployment.worker()
    way.say(ANA, "oi")
    until("a part is on its way", lambda: way.hears(ANA))
    zombie.signal(signal.SIGSTOP)
    way.deployment.worker()
    way.wait_heard(ANA, THREE)
    way.wait_idle()
    zombie.signal(signal.SIGCONT)
    until("the zombie gave up", lambda: "lost" in zombie.log)
    assert way.hears(ANA) == list(THREE)
    assert stub.violations == []
