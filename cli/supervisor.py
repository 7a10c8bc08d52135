"""A child process that is started again when it dies, until it is stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cli.lifeline import terminate_with_parent
from config.logs import get_logger

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
STEADY_S = 30.0
"""A process that lived this long starts its next life without a long pause."""

LAST_S = 5.0
"""From the second SIGTERM to SIGKILL."""

DEBOUNCER_COMMAND = (sys.executable, "-P", "-m", "cli")
"""The `debouncer` command; -P: a folder of the user's named like one of our packages must not come first."""

log = get_logger()


@dataclass(frozen=True)
class ProcessSpec:
    """How a child is started: `fds` are inherited, `output` is the file of its stdout and stderr, if not ours."""

    name: str
    command: Sequence[str]
    grace_s: float
    env: Mapping[str, str] | None = None
    fds: Sequence[int] = field(default=())
    output: int | None = None
    folder: str | None = None


class SupervisedProcess:
    """One supervised process, in a process group of its own: Ctrl-C reaches it only through us, in order."""

    def __init__(self, plan: ProcessSpec) -> None:
        self.plan = plan
        self.deaths = 0
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it and keep it running; raises OSError when it cannot be started at all."""
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self, hurry: asyncio.Event) -> None:
        """SIGTERM, again after its grace or on `hurry`, then SIGKILL for whatever is left of its group."""
        if self._keeper is not None:
            self._keeper.cancel()
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        if await _ended(process, self.plan.grace_s, hurry):
            return
        process.terminate()
        if not await _ended(process, LAST_S, asyncio.Event()):
            log.warning("process does not end; killing it", process=self.plan.name)
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    async def _spawn(self) -> None:
        plan, parent = self.plan, os.getpid()
        self._process = await asyncio.create_subprocess_exec(
            *plan.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=plan.output,
            stderr=plan.output,
            env=plan.env,
            cwd=plan.folder,
            pass_fds=plan.fds,
            start_new_session=True,
            preexec_fn=lambda: terminate_with_parent(parent),
        )
        log.info("process started", process=plan.name, child=self._process.pid)

    async def _keep(self) -> None:
        pause_s = 0.0
        while True:
            pause_s = restart_delay(pause_s, await self._live())
            await asyncio.sleep(pause_s)
            try:
                await self._spawn()
            except OSError as error:
                log.error("process cannot be started; trying again", process=self.plan.name, error=str(error))

    async def _live(self) -> float:
        """Wait for the end of the process; returns how long it took."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        assert self._process is not None  # noqa: S101
        code = await self._process.wait()
        self.deaths += 1
        log.error("process died; starting it again", process=self.plan.name, exit=exit_text(code))
        return loop.time() - begun


def restart_delay(pause_s: float, lived_s: float) -> float:
    """How long to wait before the next start, after the pause before and the life that has just ended."""
    if pause_s == 0.0 or lived_s > STEADY_S:
        return FIRST_PAUSE_S
    return min(pause_s * 2, LONGEST_PAUSE_S)


def exit_text(code: int) -> str:
    """An exit code for people; negative ones are signals."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


async def _ended(process: asyncio.subprocess.Process, within_s: float, hurry: asyncio.Event) -> bool:
    ended = asyncio.ensure_future(process.wait())
    hurried = asyncio.ensure_future(hurry.wait())
    await asyncio.wait((ended, hurried), timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    ended.cancel()
    return process.returncode is not None
