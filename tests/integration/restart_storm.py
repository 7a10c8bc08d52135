"""People who go on writing while a slow agent answers, and workers that are killed all the time.

`python -m tests.integration.restart_storm --people 10000` is the large run (docs/restart.md); the small one is
test_restart_chaos.py.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buffer.reply_store import Replies
from buffer.store import Store
from tests.gateway_stubs.generic import SECRET, GenericStub
from tests.integration.agent import Answer, Call, RecordingAgent
from tests.integration.checker import Rules, judge
from tests.integration.deployment import Deployment
from tests.integration.fault_injector import FaultInjector
from tests.integration.nursery import Nursery
from tests.integration.polling import until
from tests.integration.restart_checker import judge_flush_replies
from tests.integration.sender import Said, Sender
from tests.servers import Server

RULES = Rules(window_ms=1000, max_wait_ms=20_000, repeats=True, restarts_max=2)
PARTS = 2
GAPS_S = (0.3, 0.6, 1.5, 2.5, 3.5)
"""Pauses between two messages of a person: the longer ones come while the agent works."""


@dataclass(frozen=True)
class Scale:
    """How much happens: people who begin within `spread_s`, an agent that takes `agent_s`, a kill every second."""

    people: int = 60
    messages: tuple[int, int] = (3, 6)
    spread_s: float = 8.0
    agent_s: tuple[float, float] = (1.0, 3.0)
    workers: int = 5
    channels: int = 1
    drained_within_s: float = 120.0


def settings_of(gateway: GenericStub, **more: object) -> dict[str, object]:
    """The settings of a storm."""
    return {
        "message_while_answering": "restart",
        "restarts_max": RULES.restarts_max,
        "message_buffer_timeout": RULES.window_ms / 1000,
        "message_buffer_max_wait": RULES.max_wait_ms / 1000,
        "flush_lease": 3.0,
        "flush_renew_interval": 1.0,
        "generic_reply_url": f"{gateway.url}/replies",
        "generic_reply_secret": SECRET,
        "reply_rate": 1000,
        "typing_indicator": False,
        "log_level": "warning",
        **more,
    }


class Storm:
    """One run: everybody writes, workers die, and at the end all of it is judged."""

    def __init__(self, deployment: Deployment, gateway: GenericStub, workers: Nursery, scale: Scale) -> None:
        self._deployment = deployment
        self._workers = workers
        self._gateway = gateway
        self._scale = scale
        self._chance = random.Random(11)
        self.problems: list[str] = []
        self.figures: dict[str, Any] = {}
        deployment.agent.answer_of = self._answer

    def run(self) -> None:
        """Let everybody write while a worker is killed every second; then judge what came of it."""
        webhook = self._deployment.webhook(2)
        self._workers.start(self._scale.workers)
        until("the workers have started", lambda: self._deployment.redis.scard("rq:workers") == self._scale.workers)
        within_s = 3 * self._scale.spread_s + 120.0
        sender = Sender(webhook, channels=self._scale.channels, within_s=within_s)
        began_s = time.monotonic()
        with FaultInjector(self._kill, every_s=1.0) as storm:
            sender.play(self._plan())
        self.figures = {"seconds of writing": round(time.monotonic() - began_s)}
        self._deployment.wait_drained(within_s=self._scale.drained_within_s)
        self.figures |= {"seconds": round(time.monotonic() - began_s), "workers killed": storm.injections}
        self._judge(sender)

    def _plan(self) -> Iterator[Said]:
        for number in range(self._scale.people):
            at_s = number * self._scale.spread_s / self._scale.people
            for index in range(self._chance.randint(*self._scale.messages)):
                yield Said(at_s, f"person-{number:05d}", f"m-{number:05d}-{index}")
                at_s += self._chance.choice(GAPS_S)

    def _kill(self) -> None:
        self._workers.kill_oldest()
        self._workers.start()

    def _answer(self, call: Call) -> Answer:
        body = json.dumps({"replies": [f"{call.key} {number}" for number in range(1, PARTS + 1)]}).encode()
        return Answer(200, body, "application/json", delay_s=self._chance.uniform(*self._scale.agent_s))

    def _judge(self, sender: Sender) -> None:
        calls = sorted(self._deployment.agent.calls, key=lambda call: call.arrived_ms)
        verdict = judge(sender.sent, calls, RULES)
        listed = self._listed()
        journal = list(self._gateway.journal)
        counters, snapshot = self._deployment.counters(), self._deployment.snapshot()
        self.problems = [*verdict.problems, *judge_flush_replies(calls, journal, PARTS, listed)]
        self.problems += self._gateway.violations
        self.problems += [f"{snapshot['dead']} dead letters"] * bool(snapshot["dead"])
        if counters["acked"] != verdict.flushes:
            self.problems.append(f"{counters['acked']} acks for {verdict.flushes} flushes that were answered")
        self.figures |= {
            "people": sender.people,
            "messages": len(sender.sent),
            "calls": len(calls),
            "batches answered": verdict.flushes,
            "batches superseded": counters["flushes_superseded"],
            "parts": len(journal),
            "parts in doubt": sum(map(len, listed.values())),
            "longest wait from the first message (s)": round(verdict.longest_ms / 1000, 1),
            "late (ms), median and worst": (round(verdict.percentile(0.5)), round(verdict.percentile(1))),
            "violations": len(self.problems),
        }

    def _listed(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        for doubt_id in self._deployment.ask(_doubts):
            flush_id, _, number = doubt_id.rpartition(".")
            found[flush_id].append(int(number))
        return found


async def _doubts(store: Store) -> list[str]:
    found: list[str] = []
    while page := (await Replies(store).doubts(0, len(found), 500)).page:
        found += [doubt.doubt_id for doubt in page]
    return found


def main() -> int:
    """The large run. Returns 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--spread", type=float, help="seconds within which people begin (default: people / 60)")
    parser.add_argument("--agent", type=float, default=3.0, help="seconds that the agent takes")
    parser.add_argument("--workers", type=int, default=20, help="so many that few calls lose their worker twice")
    parser.add_argument("--drain", type=float, default=600.0, help="seconds to wait for the rest at the end")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the processes below end with this one
    spread_s = asked.spread or asked.people / 60
    scale = Scale(asked.people, (2, 4), spread_s, (asked.agent, asked.agent), asked.workers, 20, asked.drain)
    gateway, agent = GenericStub(), RecordingAgent()
    gateway.open()
    agent.open()
    with tempfile.TemporaryDirectory() as folder:
        server = Server("valkey", Path(folder), {})
        deployment = Deployment(Path(folder), server, agent, **settings_of(gateway))
        workers = Nursery(deployment.settings, Path(folder))
        storm = Storm(deployment, gateway, workers, scale)
        try:
            storm.run()
        finally:
            workers.close()
            deployment.close()
            server.stop()
            agent.close()
            gateway.close()
    for name, value in storm.figures.items():
        print(f"{name:45} {value}")
    print(*storm.problems[:20], sep="\n")
    return bool(storm.problems)


if __name__ == "__main__":
    sys.exit(main())
