"""`debouncer up` dies by kill -9 again and again while people write, and is started again on the same folder."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable

from tests.integration.agent import Answer, RecordingAgent
from tests.integration.alive import running
from tests.integration.checker import Rules, judge
from tests.integration.fault_injector import FaultInjector
from tests.integration.polling import until
from tests.integration.sender import Sender, waves
from tests.integration.up import Up

DEATHS = 5


def kill_parent(service: Up) -> None:
    """SIGKILL to `up` alone; its children end by themselves."""
    pids = service.pids()
    os.kill(service.pid, signal.SIGKILL)
    until("all of them are gone", lambda: not any(running(pid) for pid in pids))


def kill_all(service: Up) -> None:
    """SIGKILL to `up` and every process under it, as when the machine's memory is full; nobody ends in order."""
    service.signal(signal.SIGSTOP)
    pids = {pid for pid in service.pids() if running(pid)}
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    until("all of them are gone", lambda: not any(running(pid) for pid in pids))


def test_what_was_accepted_is_delivered(up: Callable[..., Up], agent: RecordingAgent) -> None:
    """Each message that got a 2xx before, between and after five deaths of `up` is in exactly one flush."""
    agent.default = Answer(delay_s=0.3)
    services = [up(durability="disk")]
    services[0].wait_up()
    sender = Sender(services[0])
    kills = itertools.cycle((kill_parent, kill_all))

    def die() -> None:
        """Kill it when it has accepted something, and start another in its place."""
        if len(services) > DEATHS:
            return
        before = sender.statuses[200]
        until("something is accepted", lambda: sender.statuses[200] > before)
        next(kills)(services[-1])
        services.append(up(durability="disk", data_dir=services[0].data, port=services[0].port))
        services[-1].wait_up()

    with FaultInjector(die, every_s=0.1) as storm:
        sender.play_until(lambda: storm.has_injected(DEATHS), waves(20, 3, gap_s=0.4, spread_s=1.0))
    said = {sent.message_id for sent in sender.sent}
    until("everything is delivered", lambda: said <= {name for call in list(agent.calls) for name in call.ids})
    print(f"{storm.injections} deaths, {len(agent.calls)} calls, answers to posts: {dict(sender.statuses)}")
    assert judge(sender.sent, agent.calls, Rules(repeats=True)).problems == []
