"""What the worker process says and does about limits, outages and stops."""

from __future__ import annotations

import resource

import pytest
from structlog.testing import capture_logs

from config.descriptors import raise_descriptor_limit
from tests.conftest import Clock
from worker import process
from worker.outage import Outage
from worker.process import DESCRIPTORS_KEPT, bounded_by_descriptors


def test_the_limit_of_descriptors_is_raised():
    """The soft limit becomes the hard limit."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        assert raise_descriptor_limit() == before[1]
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_concurrency_is_bounded_by_descriptors(make_settings):
    """A worker makes no more calls than it can open connections for, and says so."""
    with capture_logs() as lines:
        bounded = bounded_by_descriptors(make_settings(worker_concurrency=1000), 1024)
    assert bounded.worker_concurrency == 1024 - DESCRIPTORS_KEPT
    (line,) = lines
    assert line["log_level"] == "warning"
    assert "WORKER_CONCURRENCY=1000" in line["event"]
    assert f"at most {1024 - DESCRIPTORS_KEPT} calls" in line["event"]


def test_concurrency_within_the_limit_is_kept(make_settings):
    """No warning, and the settings are the same."""
    settings = make_settings(worker_concurrency=600)
    with capture_logs() as lines:
        assert bounded_by_descriptors(settings, 1024) is settings
    assert lines == []


def test_concurrency_is_never_nothing(make_settings):
    """Even a process with hardly any descriptors makes one call at a time."""
    assert bounded_by_descriptors(make_settings(), 10).worker_concurrency == 1


def test_an_outage_is_repeated_once_a_minute():
    """The first failure, one line a minute, and the end."""
    clock = Clock(0)
    outage = Outage("waiting for Redis", "Redis answers", lambda: clock() / 1000)
    with capture_logs() as lines:
        outage.works()
        for _ in range(241):
            outage.fails(OSError("refused"))
            clock.advance(500)
        outage.works()
        outage.works()
    assert [(line["event"], line.get("for_s")) for line in lines] == [
        ("waiting for Redis", 0),
        ("waiting for Redis", 60),
        ("waiting for Redis", 120),
        ("Redis answers", None),
    ]
    assert lines[0]["error"] == "refused"


def test_an_outage_without_new_errors_is_repeated_too():
    """The last error stands for it."""
    clock = Clock(0)
    outage = Outage("away", "back", lambda: clock() / 1000)
    with capture_logs() as lines:
        outage.lasts()
        outage.fails(TimeoutError())
        clock.advance(61_000)
        outage.lasts()
        outage.lasts()
    assert [(line["event"], line["error"]) for line in lines] == [("away", "TimeoutError")] * 2


@pytest.mark.parametrize(
    ("calls", "sentence"),
    [
        (0, "stopping; no new jobs are taken"),
        (1, "stopping; no new jobs are taken; waiting up to 70 s for 1 call; a second signal hands them back"),
        (5, "stopping; no new jobs are taken; waiting up to 70 s for 5 calls; a second signal hands them back"),
    ],
)
def test_a_stop_says_what_it_waits_for(calls, sentence):
    """How long, for how many calls, and how to hurry."""
    assert process._stop_sentence(calls, 70.0) == sentence
