"""Supervised child processes: started again, stopped whatever they do, and never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from cli import supervisor
from cli.supervisor import ProcessSpec, SupervisedProcess
from tests.integration.alive import running

STUBBORN = "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
WITH_A_CHILD = (
    f"{STUBBORN}; subprocess.Popen([sys.executable, '-c', {STUBBORN + '; time.sleep(99)'!r}]); time.sleep(99)"
)
LOOK_EVERY_S = 0.02
WITHIN_S = 20.0


@pytest.fixture
async def start(tmp_path):
    """Start Python code as a child: await start("import time; time.sleep(9)", grace_s=1)."""
    started = []

    async def run(code: str, grace_s: float = WITHIN_S) -> SupervisedProcess:
        output = os.open(tmp_path / "output", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        started.append(SupervisedProcess(ProcessSpec("test", [sys.executable, "-c", code], grace_s, output=output)))
        await started[-1].start()
        os.close(output)
        return started[-1]

    yield run
    for one in started:
        await one.stop(asyncio.Event())


async def eventually(condition) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(LOOK_EVERY_S)


def group_of(pid: int) -> list[int]:
    """The living processes of a process group."""
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [number for number in numbers if running(number) and in_group(number, pid)]


def in_group(pid: int, group: int) -> bool:
    try:
        return os.getpgid(pid) == group
    except ProcessLookupError:
        return False


async def test_a_child_that_ends_is_started_again(start):
    """A child is restarted whatever its exit code, and each exit is counted."""
    one = await start("print('hello')")
    await eventually(lambda: one.exits >= 2)


async def test_a_stopped_child_stays_stopped(start):
    """A stop is not counted: the child ends by SIGTERM and is not restarted."""
    one = await start("import time; time.sleep(99)")
    pid = one._process.pid
    await one.stop(asyncio.Event())
    assert one._process.returncode == -signal.SIGTERM
    assert (one.exits, running(pid)) == (0, False)


async def test_a_stubborn_child_is_killed_with_its_own(start, monkeypatch, tmp_path):
    """A child that ignores SIGTERM is killed after its grace, and so are the processes that it has started."""
    monkeypatch.setattr(supervisor, "KILL_AFTER_S", 0.2)
    one = await start(WITH_A_CHILD, grace_s=0.2)
    pid = one._process.pid
    await eventually(lambda: len(group_of(pid)) == 2)
    await one.stop(asyncio.Event())
    await eventually(lambda: group_of(pid) == [])


async def test_forced_ends_the_grace(start, monkeypatch):
    """A child with a long grace gets its second SIGTERM at once if the shutdown is forced."""
    monkeypatch.setattr(supervisor, "KILL_AFTER_S", 0.2)
    one = await start(f"{STUBBORN}; print('ready', flush=True); time.sleep(99)", grace_s=3600)
    forced = asyncio.Event()
    forced.set()
    async with asyncio.timeout(WITHIN_S):
        await one.stop(forced)
    assert one._process.returncode is not None
