"""Pods whose clocks are wrong: only the clock of Redis counts (invariant 9)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.checker import Rules, Verdict, judge
from tests.integration.fleet import Fleet
from tests.integration.sender import Sender, crowd

LIBRARY = "libfaketimeMT.so.1"


def fake_time(shift: str) -> dict[str, Any]:
    """The environment in which a process reads a shifted wall clock; skips, or fails where CI=true, without it."""
    found = sorted(Path("/usr/lib").glob(f"**/{LIBRARY}"))
    if found:
        return {"ld_preload": found[0], "faketime": shift, "faketime_dont_fake_monotonic": "1"}
    sentence = "libfaketime is missing: install it (Debian: apt install faketime) to run this test"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


@pytest.mark.parametrize(("webhook_shift", "worker_shift"), [("+1h", "-1h"), ("-1h", "+1h")])
def test_wrong_clocks_change_nothing(
    start_fleet: Callable[..., Fleet], report: Callable[[Verdict], None], webhook_shift: str, worker_shift: str
) -> None:
    """The webhook an hour ahead, the worker an hour behind, and the reverse: bursts end as ever."""
    fleet = start_fleet()
    webhooks = fleet.webhook(**fake_time(webhook_shift)), fleet.webhook()
    fleet.worker(**fake_time(worker_shift))
    sender = Sender(*webhooks)
    sender.play(crowd(20, 4, gap_s=0.3))
    fleet.wait_drained()
    verdict = judge(sender.sent, fleet.agent.calls, Rules())
    report(verdict)
    assert verdict.problems == []
    assert len(fleet.agent.calls) == 20
    assert verdict.percentile(1) < 5000
