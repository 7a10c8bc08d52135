"""A gateway that is down for long while people go on writing: nothing is lost, nothing is dead, the order stays."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable

from tests.integration.deployment import Deployment
from tests.integration.reply_line import SENDS, AnyInstanceStub, ReplyLine, replying

PEOPLE = int(os.environ.get("OUTAGE_PEOPLE", "150"))
"""People who write during the outage, one after the other. Ten minutes of fifty a second: OUTAGE_PEOPLE=30000."""

EVERY_S = 1 / 50
CHANNELS = max(30, PEOPLE // 100)
"""A channel sends one part a second."""

WRITES_AGAIN = 5
"""One person of five writes again, and that burst has to wait until the answer to the first one has gone out."""

AGAIN_AFTER = 100
"""So many people later: two seconds, when the first burst is with the agent or was answered."""

PARTS = ("um", "dois")


class Crowd:
    """People who write while the gateway is down."""

    def __init__(self, line: ReplyLine) -> None:
        self._line = line
        self.said: Counter[str] = Counter()
        self.ids: list[str] = []

    def write(self) -> None:
        """Let them all write, 50 a second, each on one of the channels."""
        began_s = time.monotonic()
        for number in range(PEOPLE + AGAIN_AFTER):
            time.sleep(max(0.0, began_s + number * EVERY_S - time.monotonic()))
            if number < PEOPLE:
                self._say(number)
            if number >= AGAIN_AFTER and number % WRITES_AGAIN == 0:
                self._say(number - AGAIN_AFTER)

    def _say(self, number: int) -> None:
        person = f"55119{number:08d}"
        self.ids += self._line.say(person, "oi", instance=f"loja-{number % CHANNELS}")
        self.said[person] += 1


def test_a_long_outage_of_a_gateway(start_deployment: Callable[..., Deployment], gateway: AnyInstanceStub) -> None:
    """Two workers call the agent once for each burst, and when the gateway is back every part goes out in order."""
    deployment = start_deployment(**{**SENDS, "evolution_url": gateway.url, "retry_max": 5.0})
    deployment.agent.default = replying(*PARTS)
    line = ReplyLine(deployment, gateway)
    deployment.workers(2)
    gateway.shut()
    crowd = Crowd(line)
    crowd.write()
    assert gateway.journal == []
    pending = deployment.pending()
    opened_s = time.monotonic()
    gateway.open()
    deployment.wait_drained(within_s=60.0 + PEOPLE / 10)
    took_s = time.monotonic() - opened_s
    calls = deployment.agent.calls
    print(f"\n{PEOPLE} people, {len(calls)} calls, {pending} pending, drained in {took_s:.1f} s")
    assert sorted(one for call in calls for one in call.ids) == sorted(crowd.ids)
    assert len({call.key for call in calls}) == len(calls) > PEOPLE
    heard: dict[str, list[str]] = {}
    for entry in gateway.journal:
        heard.setdefault(entry.conversation, []).append(entry.text)
    flushes = Counter(call.peer for call in calls)
    assert heard == {person: [*PARTS] * flushes[person] for person in crowd.said}
    assert (line.doubts(), line.dead(), gateway.violations) == ([], [], [])
