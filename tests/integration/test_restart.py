"""MESSAGE_WHILE_ANSWERING=restart, with real processes: the person goes on, and gets one answer to everything."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from buffer.insight_models import FlushRecord
from buffer.insights import Insights
from tests.gateway_stubs.evolution import EvolutionStub
from tests.integration.agent import Answer, Call
from tests.integration.deployment import CRASHES, HOLDS, Deployment
from tests.integration.polling import until
from tests.integration.processes import TOKEN, Worker
from tests.integration.reply_line import INSTANCE, SENDS, ReplyLine, replying
from tests.integration.test_takeover import post, post_own

ANA = "5511900000031"
LID = "900000000000031@lid"
HELD = Answer(200, replying("late").body, "application/json", held=True)
PATIENT = {"flush_lease": 300.0, "flush_renew_interval": 100.0}
"""No lease is renewed in the time of a test: what a worker hears, it was told."""


@pytest.fixture
def stub() -> Iterator[EvolutionStub]:
    one = EvolutionStub()
    one.open()
    yield one
    one.close()


@pytest.fixture
def line(stub: EvolutionStub, start_deployment: Callable[..., Deployment]) -> Callable[..., ReplyLine]:
    """Start a deployment of a route that restarts, with an agent that holds its first call."""

    def start(**settings: Any) -> ReplyLine:
        restart = {**SENDS, **HOLDS, **PATIENT, "message_while_answering": "restart", "message_buffer_timeout": 1.0}
        way = ReplyLine(start_deployment(**{**restart, "evolution_url": stub.url, **settings}), stub)
        way.deployment.agent.answer(ANA, HELD, replying("one"))
        return way

    return start


def called(way: ReplyLine, number: int = 1, person: str = ANA) -> Call:
    """Wait for a call of a person's. Return it."""
    until("the agent is called", lambda: len(way.calls_of(person)) >= number)
    return way.calls_of(person)[number - 1]


def given_up(call: Call) -> None:
    """Wait until a call that the agent still holds has ended: its worker has closed the connection."""
    until("the call is given up", lambda: call.ended_ms)


def history(way: ReplyLine, outcome: str) -> list[FlushRecord]:
    """Return the records of an outcome, oldest first."""
    page = way.deployment.ask(lambda store: Insights(store).flushes(100, outcome=outcome))
    return page.items[::-1]


def message_from(jid: str, text: str, **key: str) -> dict[str, Any]:
    """Return the event of a message under any name of a person."""
    data = {
        "key": {"remoteJid": jid, "fromMe": False, "id": f"3EB0{time.time_ns():018X}", **key},
        "pushName": "Ana",
        "message": {"conversation": text},
        "messageType": "conversation",
        "messageTimestamp": int(time.time()),
    }
    return {"event": "messages.upsert", "instance": INSTANCE, "data": data}


def taken_back(worker: Worker) -> list[dict[str, Any]]:
    """Return the lines that say that a batch was taken back."""
    return [one for one in worker.log_lines() if str(one["event"]).startswith("batch taken back")]


# ---- the call is given up, and the person gets one answer


def test_a_call_is_given_up_at_once(line):
    """The worker is told, ends the call, and the next one has everything and says what it replaces."""
    way = line()
    worker = way.deployment.worker()
    first = way.say(ANA, "oi")
    call = called(way)
    more = way.say(ANA, "tudo bem?", "queria saber do pedido")
    given_up(call)
    again = called(way, 2)
    assert again.ids == [*first, *more]
    assert (again.attempt, again.content["supersedes"]) == (1, [call.key])
    assert "supersedes" not in call.content
    way.wait_heard(ANA, ["one"])
    way.wait_idle()
    [record] = history(way, "superseded")
    assert (record.flush_id, record.successor, record.messages) == (call.key, again.key, 1)
    assert [one.flush_id for one in history(way, "acked")] == [again.key]
    [told] = taken_back(worker)
    assert (told["flush_id"], told["level"]) == (call.key, "info")
    assert ANA not in worker.log
    counters = way.counters()
    assert (counters["flushes_superseded"], counters["acked"], counters["agent_failures"]) == (1, 1, 0)


def test_an_answer_that_waits_for_its_pace(line):
    """The agent has answered, and the person goes on before the first part has left: they never see that answer."""
    way = line(reply_typing_cps=1)
    way.deployment.agent.answer(ANA, replying("x" * 10), replying("9"))
    way.deployment.worker()
    way.say(ANA, "oi")
    call = called(way)
    until("the answer is stored", lambda: call.ended_ms)
    way.say(ANA, "mais uma coisa")
    again = called(way, 2)
    assert again.content["supersedes"] == [call.key]
    way.wait_heard(ANA, ["9"])


def test_after_the_first_part_it_is_a_queue(line):
    """What comes after the first part waits behind the rest of the answer."""
    way = line(reply_typing_cps=1)
    way.deployment.agent.answer(ANA, replying("1", "2345"), replying("6"))
    way.deployment.worker()
    way.say(ANA, "oi")
    way.wait_heard(ANA, ["1"])
    behind = way.say(ANA, "mais uma coisa")
    way.wait_heard(ANA, ["1", "2345", "6"])
    assert called(way, 2).ids == behind
    assert "supersedes" not in called(way, 2).content


def test_an_agent_that_answers_by_itself(line):
    """Its ack is the moment of no return: before it the burst is asked again, after it nothing is."""
    way = line()
    way.deployment.agent.answer(ANA, Answer(204, held=True), Answer(204))
    way.deployment.worker()
    way.say(ANA, "oi")
    call = called(way)
    way.say(ANA, "mais uma coisa")
    assert called(way, 2).content["supersedes"] == [call.key]
    way.wait_idle()
    way.say(ANA, "obrigada")
    assert "supersedes" not in called(way, 3).content
    way.wait_idle()
    assert way.counters()["flushes_superseded"] == 1


def test_restarts_max(line):
    """After so many restarts the person gets an answer, and what they say meanwhile waits behind it."""
    way = line(restarts_max=1)
    way.deployment.agent.answer(ANA, HELD, HELD, replying("two"))
    way.deployment.worker()
    way.say(ANA, "oi")
    called(way)
    way.say(ANA, "e")
    second = called(way, 2)
    behind = way.say(ANA, "mais")
    way.deployment.agent.release()
    way.wait_heard(ANA, ["late", "two"])
    assert (called(way, 3).ids, second.ended_ms is not None) == (behind, True)


def test_a_worker_that_dies(line):
    """Killed with the mark set, or before it: another worker asks with everything, and the person gets one answer."""
    way = line(**CRASHES)
    worker = way.deployment.worker()
    way.say(ANA, "oi")
    call = called(way)
    worker.signal(signal.SIGSTOP)
    way.say(ANA, "mais uma coisa")
    worker.kill()
    other = way.deployment.worker()
    again = called(way, 2)
    assert (len(again.ids), again.content["supersedes"]) == (2, [call.key])
    way.wait_heard(ANA, ["one"])
    assert [one["flush_id"] for one in taken_back(other)] == [call.key]


def test_a_worker_that_stops(line):
    """A worker that is told to stop releases the batch, and its messages go back."""
    way = line(shutdown_grace=300.0)
    worker = way.deployment.worker()
    way.say(ANA, "oi")
    call = called(way)
    worker.terminate()
    way.say(ANA, "mais uma coisa")
    worker.terminate()
    worker.wait()
    way.deployment.worker()
    assert called(way, 2).content["supersedes"] == [call.key]
    way.wait_heard(ANA, ["one"])


def test_a_late_answer_is_refused(line):
    """The answer that an agent posts for a batch that was taken back reaches nobody."""
    way = line(agent_kind="n8n", agent_answer_token=TOKEN)
    started = Answer(202, b'{"message":"Workflow was started"}', "application/json")
    way.deployment.agent.answer(ANA, started, replying("one"))
    worker = way.deployment.worker()
    way.say(ANA, "oi")
    call = called(way)
    until(
        "the answer is awaited", lambda: any("awaited_ms" in one for one in way.deployment.snapshot()["conversations"])
    )
    way.say(ANA, "mais uma coisa")
    url = f"http://127.0.0.1:{way.webhook.port}/flushes/{call.key}/answer"
    answer = httpx.post(url, json={"reply": "late"}, headers={"authorization": f"Bearer {TOKEN}"}, timeout=30)
    assert answer.status_code == 404
    assert called(way, 2).content["supersedes"] == [call.key]
    way.wait_heard(ANA, ["one"])


# ---- what may arrive during a restart


def test_a_takeover_during_a_restart(line):
    """A human answers between the call that was given up and the next one: nothing is asked, and nothing is sent."""
    way = line(message_buffer_timeout=10, message_buffer_max_wait=60)
    way.deployment.worker()
    way.say(ANA, "oi")
    call = called(way)
    way.say(ANA, "alguém aí?")
    given_up(call)
    until("the messages are back", lambda: way.counters()["flushes_superseded"] == 1)
    post_own(way, ANA, "deixa comigo")
    [record] = history(way, "superseded")
    assert (record.flush_id, record.successor, record.cause) == (call.key, "", "takeover")
    assert sum(one.messages for one in history(way, "discarded")) == 2
    way.deployment.agent.release()
    post_own(way, ANA, "#bot")
    way.say(ANA, "obrigada")
    assert called(way, 2).texts == ["obrigada"]
    way.wait_heard(ANA, ["one"])


def test_an_edit_during_a_restart(line):
    """The next call has the new text, whether or not the messages were back when it came."""
    way = line()
    way.deployment.worker()
    [first] = way.say(ANA, "um")
    called(way)
    way.say(ANA, "dois")
    key = {"remoteJid": f"{ANA}@s.whatsapp.net", "fromMe": False, "id": first}
    edit = {"key": key, "type": 14, "editedMessage": {"conversation": "três"}, "timestampMs": time.time_ns() // 10**6}
    post(way, {"event": "messages.edited", "instance": INSTANCE, "data": edit})
    assert called(way, 2).texts == ["três", "dois"]
    way.wait_heard(ANA, ["one"])
    assert way.counters()["late_edits"] == 0


def test_a_revoke_during_a_restart(line):
    """A message that its person deleted is in no further call, and its discard is recorded."""
    way = line()
    way.deployment.worker()
    [first] = way.say(ANA, "um")
    called(way)
    way.say(ANA, "dois")
    data = {"remoteJid": f"{ANA}@s.whatsapp.net", "fromMe": False, "id": first, "status": "DELETED"}
    post(way, {"event": "messages.delete", "instance": INSTANCE, "data": data})
    assert called(way, 2).texts == ["dois"]
    way.wait_heard(ANA, ["one"])
    [discard] = history(way, "discarded")
    assert (discard.cause, discard.messages) == ("revoke", 1)
    assert way.counters()["late_revokes"] == 0


def test_an_album_during_a_restart(line):
    """The pictures of an album that come one by one are in one call in the end, in their order."""
    way = line(telegram_secret_token=TOKEN)
    way.deployment.agent.answer("31", Answer(204, held=True), Answer(204))
    way.deployment.worker()
    url = f"http://127.0.0.1:{way.webhook.port}/webhooks/telegram/loja"
    headers = {"X-Telegram-Bot-Api-Secret-Token": TOKEN}

    def picture(number: int) -> None:
        file = {"file_id": f"f{number}", "file_unique_id": f"u{number}", "file_size": 9, "width": 8, "height": 8}
        who = {"id": 31, "first_name": "Ana"}
        sent = {"message_id": number, "from": {**who, "is_bot": False}, "chat": {**who, "type": "private"}}
        sent |= {"date": int(time.time()), "media_group_id": "13579", "photo": [file]}
        body = {"update_id": number, "message": sent}
        assert httpx.post(url, json=body, headers=headers, timeout=30).status_code == 200

    for number in (1, 2):
        picture(number)
    call = called(way, person="31")
    picture(3)
    given_up(call)
    picture(4)
    again = called(way, 2, person="31")
    assert again.ids == ["1", "2", "3", "4"]
    assert again.content["supersedes"] == [call.key]


def test_a_second_name_during_a_restart(line):
    """The person goes on under their phone number, and a message tells that both names are one: one call has all."""
    way = line()
    way.deployment.agent.answer(LID, HELD)
    way.deployment.agent.answer(ANA, replying("one"))
    way.deployment.worker()
    post(way, message_from(LID, "um"))
    call = called(way, person=LID)
    post(way, message_from(LID, "dois"))
    given_up(call)
    post(way, message_from(f"{ANA}@s.whatsapp.net", "três"))
    post(way, message_from(LID, "quatro", remoteJidAlt=f"{ANA}@s.whatsapp.net", addressingMode="lid"))
    until("there is another call", lambda: len(way.deployment.agent.calls) >= 2)
    again = way.deployment.agent.calls[1]
    assert (again.texts, again.content["supersedes"]) == (["um", "dois", "três", "quatro"], [call.key])
    assert again.peer == ANA
    way.wait_heard(ANA, ["one"])
    assert len(way.deployment.agent.calls) == 2


def test_a_second_name_while_the_batch_is_in_flight(line):
    """The message that tells the second name is the one that takes the batch back."""
    way = line()
    way.deployment.agent.answer(LID, HELD)
    way.deployment.agent.answer(ANA, replying("one"))
    way.deployment.worker()
    post(way, message_from(LID, "um"))
    call = called(way, person=LID)
    post(way, message_from(LID, "dois", remoteJidAlt=f"{ANA}@s.whatsapp.net", addressingMode="lid"))
    given_up(call)
    until("there is another call", lambda: len(way.deployment.agent.calls) >= 2)
    again = way.deployment.agent.calls[1]
    assert (again.texts, again.peer, again.content["supersedes"]) == (["um", "dois"], ANA, [call.key])
    way.wait_heard(ANA, ["one"])
