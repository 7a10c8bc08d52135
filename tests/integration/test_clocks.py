"""Pods whose clocks are wrong: only the clock of Redis counts (docs/invariants.md#9)."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.integration.checker import Rules, Verdict, judge
from tests.integration.deployment import Deployment
from tests.integration.processes import ROOT, Process
from tests.integration.sender import Sender, crowd

HOUR_S = 3600
SHIFT = """
import datetime, time
real_time, real_ns, Real = time.time, time.time_ns, datetime.datetime
time.time = lambda: real_time() + SHIFT_S
time.time_ns = lambda: real_ns() + SHIFT_S * 10**9
class Shifted(Real):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)
    @classmethod
    def utcnow(cls):
        return cls.fromtimestamp(time.time(), datetime.timezone.utc).replace(tzinfo=None)
datetime.datetime = Shifted
"""
"""What Python runs before anything else in such a pod. libfaketime would do it below Python, and breaks its waiting."""


@pytest.fixture
def wrong_clock(tmp_path: Path) -> Callable[[int], dict[str, Any]]:
    """The environment of a process whose wall clock is wrong by so many seconds."""

    def make(shift_s: int) -> dict[str, Any]:
        folder = tmp_path / f"clock{shift_s}"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(SHIFT.replace("SHIFT_S", f"({shift_s})"))
        return {"pythonpath": f"{folder}:{ROOT}"}

    return make


def shift_of(process: Process) -> float:
    """By how many seconds the clock of a process is wrong, as its log tells."""
    return datetime.fromisoformat(process.log_lines()[-1]["timestamp"]).timestamp() - time.time()


@pytest.mark.parametrize("hours", [1, -1])
def test_wrong_clocks_change_nothing(
    start_deployment: Callable[..., Deployment],
    report: Callable[[Verdict], None],
    wrong_clock: Callable[[int], dict[str, Any]],
    hours: int,
) -> None:
    """A webhook an hour ahead beside a right one, the worker an hour behind, and the reverse: bursts end as ever."""
    deployment = start_deployment()
    wrong = deployment.webhook(**wrong_clock(hours * HOUR_S))
    right = deployment.webhook()
    worker = deployment.worker(**wrong_clock(-hours * HOUR_S))
    sender = Sender(wrong, right)
    sender.play(crowd(20, 4, gap_s=0.3))
    deployment.wait_drained()
    verdict = judge(sender.sent, deployment.agent.calls, Rules())
    report(verdict)
    assert shift_of(wrong) == pytest.approx(hours * HOUR_S, abs=HOUR_S / 2)
    assert shift_of(worker) == pytest.approx(-hours * HOUR_S, abs=HOUR_S / 2)
    assert verdict.problems == []
    assert verdict.one_for_each(20)
    assert verdict.percentile(1) < 5000 + deployment.agent.stalled_ms
