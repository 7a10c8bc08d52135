"""`debouncer demo`, as a stranger runs it."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

import httpx
import pytest

from tests.integration.alive import running
from tests.integration.polling import until
from tests.integration.processes import Process

ENDS_WITHIN_S = 60.0
FOREIGN = {
    "redis_url": "redis://127.0.0.1:1/0",
    "message_buffer_timeout": 50,
    "agent_url": "http://127.0.0.1:1/",
    "debouncer_kill_at": "worker_after_claim",
}
"""Settings of the user that the demo must not use."""


@pytest.fixture
def options() -> list[str]:
    """What the demo is started with."""
    return []


@pytest.fixture
def demo(tmp_path, options):
    """A running demo, with temporary files in a folder of its own and a `.env` that would spoil it."""
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    (home / ".env").write_text("MESSAGE_BUFFER_TIMEOUT=40\nREDIS_PARTITIONS=7\n")
    settings = {**FOREIGN, "tmpdir": temporary, "browser": "true"}
    process = Process([sys.executable, "-m", "cli", "demo", *options], settings, home)
    yield process
    process.close()


def pids(demo: Process) -> list[int]:
    """Return the process ids that the demo prints."""
    until("the processes are ready", lambda: "Ready after" in demo.log or not demo.alive)
    line = next(line for line in demo.log.splitlines() if line.startswith("Ready after"))
    return [int(pid) for pid in re.findall(r"\b\d{2,}\b", line.partition(":")[2])]


def assert_no_leftovers(started: list[int], folder: Path) -> None:
    """No process and no temporary file remains."""
    assert not [pid for pid in started if running(pid)]
    assert list((folder / "tmp").iterdir()) == []


def test_the_demo_keeps_its_promises(demo, tmp_path):
    """The demo ends with exit code 0 and every promise kept, whatever settings are around, and leaves nothing."""
    started = pids(demo)
    assert len(started) == 3
    assert demo.wait(ENDS_WITHIN_S) == 0
    assert "✗ " not in demo.log.partition("What was promised")[2]
    assert "All 11 promises were kept." in demo.log
    assert "4 messages: oi / tudo bem? / queria saber do pedido / o número é 4821" in demo.log
    assert "\x1b" not in demo.log
    assert_no_leftovers([*started, *successors(demo)], tmp_path)


def test_the_demo_shows_the_whole_way(demo):
    """Replies come out of the gateway, a human ends them for Carla, and the one in doubt is listed until its echo."""
    assert demo.wait(ENDS_WITHIN_S) == 0
    assert told(demo, "Ana ") == ["your 4 messages together.", "your message."]
    assert told(demo, "Bruno ") == ["your 2 messages together."]
    assert told(demo, "Carla ") == ["your message."]
    story = demo.log.partition("That was the story.")[0]
    moments = [
        "Shall I send it by e-mail?",
        "a human of ours",
        "kill -9",
        "started in its place",
        "1 part in doubt",
        "echo",
    ]
    places = [story.index(moment) for moment in [*moments, "Nothing is in doubt."]]
    assert places == sorted(places)
    assert "5511900000001" not in demo.log


def told(demo: Process, person: str) -> list[str]:
    """What the gateway showed a person: the end of each sentence."""
    lines = [line for line in demo.log.splitlines() if f"{person} " in line and "← gateway" in line]
    return [line.partition("I have read ")[2] for line in lines]


def successors(demo: Process) -> list[int]:
    """The process ids of the workers that were started again."""
    return [int(pid) for pid in re.findall(r"worker (\d+) +started in its place", demo.log)]


def test_the_demo_can_be_interrupted(demo, tmp_path):
    """Ctrl-C in the middle of the script ends the demo at once, without a stack trace and without leftovers."""
    started = pids(demo)
    until("the first message is sent", lambda: "+0.00 s" in demo.log)
    demo.signal(signal.SIGINT)
    assert demo.wait(ENDS_WITHIN_S) == 130
    assert "Traceback" not in demo.log
    assert "promises" not in demo.log
    assert_no_leftovers(started, tmp_path)


@pytest.mark.parametrize("options", [["--page"]])
def test_the_demo_stays_with_its_page(demo, tmp_path):
    """After its story the page is still there, with the story on it and a test burst to send, until Ctrl-C."""
    started = pids(demo)
    until("the story is over", lambda: "All 11 promises were kept." in demo.log and demo.log.count("page: http") == 2)
    (address,) = set(re.findall(r"http://127\.0\.0\.1:\d+/dashboard", demo.log))
    page = httpx.get(address, timeout=30).text
    assert "+55 11 •••• 0001" in page
    assert re.findall('class="duplicate"', page)
    assert "data-test-burst" in page
    assert "5511900000001" not in page
    demo.signal(signal.SIGINT)
    assert demo.wait(ENDS_WITHIN_S) == 0
    assert_no_leftovers([*started, *successors(demo)], tmp_path)


def test_the_demo_admits_a_broken_promise(demo):
    """A call too many at the agent is shown as a broken promise, and the exit code is 1."""
    worker = pids(demo)[-1]
    variables = dict(item.split("=", 1) for item in Path(f"/proc/{worker}/environ").read_text().split("\0") if item)
    until("the first message is sent", lambda: "+0.00 s" in demo.log)
    body = {"conversation": {"name": "Ana"}, "messages": [{"message_id": "never-written", "text": "boo"}]}
    assert httpx.post(variables["AGENT_URL"], json=body, timeout=30).status_code == 200
    assert demo.wait(ENDS_WITHIN_S) == 1
    assert "✗ Each burst became exactly one call" in demo.log
    assert "promises were broken" in demo.log
