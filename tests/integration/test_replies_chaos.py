"""Workers are killed all the time while parts are on their way: no part twice, and none that is not accounted for."""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import Callable

from tests.gateway_stubs.base import Fault
from tests.integration.deployment import CRASHES, Deployment
from tests.integration.fault_injector import FaultInjector
from tests.integration.polling import until
from tests.integration.processes import Worker
from tests.integration.reply_checker import judge_calls, judge_replies
from tests.integration.reply_line import SENDS, AnyInstanceStub, ReplyLine, replying

STRIKES = int(os.environ.get("CHAOS_STRIKES", "8"))
"""Workers that are killed. More of them: CHAOS_STRIKES=500."""

CROWD = 30
"""People of one wave, each on a channel of their own: a channel sends one part a second."""

SERVED_WITHIN_S = 300.0
"""A batch whose worker died again and again rests between its attempts."""

PARTS = 3
FAULTS = (
    Fault("lost"),
    Fault("half"),
    Fault("html"),
    Fault("close"),
    Fault("slow", after_s=0.4),
    Fault("slow", after_s=0.8),
    Fault("status", status=503),
    Fault("status", status=429, headers={"Retry-After": "1"}),
    Fault("status", status=502),
)
FAULTY_SHARE = 0.3


class Crowd:
    """People who write one message each, in waves, and get an answer of several parts."""

    def __init__(self, way: ReplyLine) -> None:
        self.way = way
        self.answers: dict[str, list[str]] = {}

    def write(self) -> None:
        """Let a new wave of people write."""
        for _ in range(CROWD):
            number = len(self.answers) + 1
            person = f"551190000{number:04d}"
            self.answers[person] = [f"part {part} for {number}" for part in range(1, PARTS + 1)]
            self.way.deployment.agent.answer(person, replying(*self.answers[person]))
            self.way.say(person, "oi", instance=f"loja-{number}")

    def is_nearly_served(self) -> bool:
        """Whether most of them wait for nothing any more: their parts are sent, in doubt, or dead."""
        return self.way.deployment.pending() < CROWD / 2


class Reaper:
    """Kills a worker and starts another."""

    def __init__(self, deployment: Deployment, workers: list[Worker]) -> None:
        self._deployment = deployment
        self._workers = workers

    def inject(self) -> None:
        """kill -9 the oldest, while another one works; meant to be called all the time."""
        self._workers[-1].wait_ready()
        self._workers.pop(0).kill()
        self._workers.append(self._deployment.worker(ready=False))


def listed(way: ReplyLine) -> dict[str, list[int]]:
    """The parts of each person that an operator finds in doubt or dead."""
    found: dict[str, list[int]] = defaultdict(list)
    for doubt in way.doubts():
        found[doubt.conversation.peer].append(doubt.number)
    for letter in way.dead():
        found[letter.conversation.peer] += range(1, PARTS + 1)
    return found


def test_killed_workers_send_no_part_twice(
    start_deployment: Callable[..., Deployment], gateway: AnyInstanceStub
) -> None:
    """A worker dies again and again, and a third of the requests fail: every part is sent, in doubt, or dead."""
    chance = random.Random(7)
    gateway.fault_of = lambda _: chance.choice(FAULTS) if chance.random() < FAULTY_SHARE else None
    deployment = start_deployment(**{**SENDS, "evolution_url": gateway.url, "retry_max": 1.0, **CRASHES})
    way = ReplyLine(deployment, gateway)
    crowd = Crowd(way)
    with FaultInjector(Reaper(deployment, deployment.workers(2)).inject, every_s=0.7) as storm:
        while not storm.has_injected(STRIKES):
            crowd.write()
            until("the crowd is served, or workers die", lambda: _moves(crowd, storm), SERVED_WITHIN_S)
    gateway.fault_of = lambda _: None
    deployment.wait_drained(within_s=180.0)
    found = listed(way)
    print(
        f"\n{storm.injections} strikes, {len(crowd.answers)} people, {len(gateway.journal)} parts, {len(found)} listed"
    )
    assert judge_replies(crowd.answers, gateway.journal, found) == []
    assert judge_calls(deployment.agent.calls, gateway.journal) == []
    assert gateway.violations == []
    assert way.dead() == []


def _moves(crowd: Crowd, storm: FaultInjector) -> bool:
    return crowd.is_nearly_served() or storm.has_injected(STRIKES)
