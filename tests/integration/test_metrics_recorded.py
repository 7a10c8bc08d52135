"""What /metrics tells equals the record of webhook, agent and gateway, while every process is killed in turn."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from buffer.keys import ref_of
from buffer.models import Conversation
from tests.gateway_stubs.evolution import EvolutionStub
from tests.integration.agent import Answer, Call
from tests.integration.deployment import CRASHES, Deployment
from tests.integration.polling import until
from tests.integration.processes import Worker
from tests.integration.reply_line import SENDS, ReplyLine, replying
from tests.integration.test_metrics import IGNORED, Metrics

MOST = 4
"""MESSAGE_BUFFER_MAX_MESSAGES."""

SAYS = {"one": 1, "three": 3, "most": MOST + 1, "retried": 2, "dead": 1, "manual": 2, "slow": 1}
"""How many messages the people of each round send."""

SLOW = Answer(200, b'{"replies": ["pronto"]}', "application/json", delay_s=1.0)


@pytest.fixture
def stub() -> Iterator[EvolutionStub]:
    one = EvolutionStub()
    one.echoes_on = False
    one.open()
    yield one
    one.close()


class Record:
    """A deployment of one webhook and two workers, and what was said and answered on its outside."""

    def __init__(self, deployment: Deployment, stub: EvolutionStub) -> None:
        self.way = ReplyLine(deployment, stub)
        self.deployment = deployment
        self.workers = deployment.workers(2)
        self.said: Counter[str] = Counter()
        self.people: list[str] = []
        self.requests = 0

    def play(self, number: int, strike: Callable[[], None]) -> None:
        """Let new people write; strike while one call to the agent is under way; wait until all is delivered."""
        names = {who: f"55119{number:04}{at:04}" for at, who in enumerate(SAYS)}
        agent = self.deployment.agent
        agent.answer(names["retried"], Answer(500), replying("um", "dois"))
        agent.answer(names["dead"], Answer(400))
        agent.answer(names["slow"], SLOW)
        self.people += names.values()
        for who, messages in SAYS.items():
            if who != "slow":
                self._say_twice(names[who], messages)
        self._flush(names["manual"])
        self.deployment.wait_drained()
        self._say_twice(names["slow"], SAYS["slow"])
        self.deployment.wait_calls(names["slow"])
        self._wait_counted()
        strike()
        self.deployment.wait_drained()

    def restart(self, worker: Worker) -> None:
        """Kill a worker and start another one."""
        worker.kill()
        self.workers[self.workers.index(worker)] = self.deployment.worker()

    def restart_webhook(self) -> None:
        """Kill the webhook with all its processes and start another one."""
        self.way.webhook.kill()
        self.way.webhook = self.deployment.webhook(2)

    def restart_all(self) -> None:
        """Kill the webhook and then each worker, and start others."""
        self.restart_webhook()
        for worker in list(self.workers):
            self.restart(worker)

    def calls(self) -> list[Call]:
        """All calls to the agent."""
        return list(self.deployment.agent.calls)

    def _say_twice(self, person: str, messages: int) -> None:
        """Post messages twice, as a gateway does that got no answer."""
        for _ in range(2):
            for index in range(messages):
                self.said.update(self._post(body_of(person, f"3EB0{person}{index:05}")))
                self.requests += 1

    def _post(self, body: object) -> dict[str, int]:
        """Post a body until it is taken: a process that was just started may not have reached Redis."""
        url = f"http://127.0.0.1:{self.way.webhook.port}/webhooks/evolution"
        while (answer := self.way.webhook.client.post(url, json=body)).status_code == 503:
            pass
        return dict(answer.json())

    def _flush(self, person: str) -> None:
        ref = ref_of(Conversation("evolution", "loja", person), 1)
        url = f"http://127.0.0.1:{self.way.webhook.port}/conversations/{ref}/flush"
        assert self.way.webhook.client.post(url).json() == {"messages": SAYS["manual"]}

    def _wait_counted(self) -> None:
        """Wait until the webhook has added what it counts by itself: a kill loses what it has not."""
        url = f"http://127.0.0.1:{self.way.webhook.port}/webhooks/evolution"
        self.said["ignored"] += self.way.webhook.client.post(url, content=IGNORED).json()["ignored"]
        until("the webhook has added its counts", lambda: self._counted() == (self.requests, self.said["ignored"]))

    def _counted(self) -> tuple[float, float]:
        metrics = Metrics(self.way.webhook)
        return metrics.sum_of("append_seconds_count"), metrics.sum_of("messages_ignored_total")


def body_of(person: str, message_id: str) -> dict[str, Any]:
    """Return what Evolution posts for a text."""
    data = {
        "key": {"remoteJid": f"{person}@s.whatsapp.net", "fromMe": False, "id": message_id},
        "pushName": "Ana",
        "message": {"conversation": "oi"},
        "messageType": "conversation",
        "messageTimestamp": 1_749_766_101,
    }
    return {"event": "messages.upsert", "instance": "loja", "data": data}


def test_metrics_equal_the_record(start_deployment: Callable[..., Deployment], stub: EvolutionStub) -> None:
    """Workers, one process of the webhook, the whole webhook, and all at once are killed; every number stays right."""
    settings = {**SENDS, **CRASHES, "evolution_url": stub.url, "message_buffer_max_messages": MOST, "reply_rate": 1000}
    record = Record(start_deployment(**settings | {"message_buffer_timeout": 1.0}), stub)
    record.deployment.agent.default = replying("um", "dois")
    record.restart_webhook()
    strikes: list[Callable[[], None]] = [
        lambda: record.restart(record.workers[0]),
        lambda: record.restart(record.workers[1]),
        lambda: os.kill(record.way.webhook.pids()[0], signal.SIGKILL),
        record.restart_webhook,
        record.restart_all,
    ]
    for number, strike in enumerate(strikes):
        record.play(number, strike)
    assert stub.violations == []
    compare(record, Metrics(record.way.webhook))


def compare(record: Record, metrics: Metrics) -> None:
    """Compare each metric with what was recorded outside."""
    people, said, calls = record.people, record.said, record.calls()
    flushes = {call.key: call for call in calls}
    failed = sum(len(record.deployment.agent.calls_of(one)) for one in people if one.endswith(DEAD))
    failed += sum(call.attempt == 1 for call in calls if call.peer.endswith(RETRIED))
    dead = sum(call.peer.endswith(DEAD) for call in flushes.values())
    answered = len(flushes) - dead
    assert said["accepted"] == said["duplicates"] == len(record.people) // len(SAYS) * sum(SAYS.values())
    expected = {
        "messages_accepted_total": said["accepted"],
        "messages_duplicate_total": said["duplicates"],
        "messages_ignored_total": said["ignored"],
        "append_seconds_count": record.requests,
        "flushes_total": len(flushes),
        "flush_messages_total": said["accepted"],
        "flushes_single_total": sum(len(call.ids) == 1 for call in flushes.values()),
        "acked_total": answered,
        "agent_failures_total": failed,
        "dead_letters_total": dead,
        "dead_letters_kept": dead,
        "leases_recovered_total": sum(call.attempt > 1 for call in calls if call.peer.endswith(SLOW_ONE)),
        "answers_again_total": 0,
        "parts_sent_total": len(record.way.stub.journal),
        "parts_in_doubt_total": 0,
        "parts_refused_total": 0,
        "doubts_open": 0,
        "lateness_seconds_count": len(flushes),
        "agent_seconds_count": answered,
        "reply_seconds_count": answered,
        "gap_seconds_gcount": said["accepted"] - len(people),
        "conversations_pending": 0,
        "conversations_overdue": 0,
        "queue_jobs": 0,
        "queue_readable": 1,
    }
    assert {name: metrics.sum_of(name) for name in expected} == expected
    # the message beyond the most opens a burst of its own only if the others were sealed before it came
    assert 0 <= metrics.sum_of("bursts_split_total") <= len(flushes) - len(people)
    reasons = Counter(call.content["reason"] for call in flushes.values())
    assert reasons.keys() == {"quiet", "max_messages", "manual"}
    assert metrics.by("flushes_total", "reason") == reasons


DEAD, RETRIED, SLOW_ONE = (f"{[*SAYS].index(who):04}" for who in ("dead", "retried", "slow"))
"""The ends of the numbers of those people."""
