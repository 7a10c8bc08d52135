"""Child processes that are restarted when they exit, until they are stopped."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from config.logs import get_logger

RESTART_DELAY_MIN_S = 0.2
RESTART_DELAY_MAX_S = 10.0
STEADY_S = 30.0
"""After a process has run for this long, its restart delay begins at the minimum again."""

KILL_AFTER_S = 5.0
"""Time from the second SIGTERM to SIGKILL."""

DEBOUNCER_COMMAND = (sys.executable, "-P", "-m", "cli")
"""The `debouncer` command. With -P, Python ignores folders of the user that are named like one of our packages."""

PR_SET_PDEATHSIG = 1

# Loaded at import, because terminate_with_parent runs between fork and exec, where loading a library is not safe.
_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

log = get_logger()


@dataclass(frozen=True)
class ProcessSpec:
    """How to start a process: it inherits `fds`, and writes stdout and stderr to `output` (None: to ours)."""

    name: str
    command: Sequence[str]
    grace_s: float
    env: Mapping[str, str] | None = None
    fds: Sequence[int] = field(default=())
    output: int | None = None
    folder: str | None = None


class SupervisedProcess:
    """A child process in a process group of its own, so that Ctrl-C in the terminal reaches only the supervisor."""

    def __init__(self, spec: ProcessSpec) -> None:
        self.spec = spec
        self.exits = 0
        self._process: asyncio.subprocess.Process | None = None
        self._restarter: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the process and keep it running. Raises OSError if the first start fails."""
        await self._spawn()
        self._restarter = asyncio.create_task(self._restart_forever())

    async def stop(self, forced: asyncio.Event) -> None:
        """Send SIGTERM, then a second SIGTERM after the grace time or when `forced`, then SIGKILL to the group."""
        if self._restarter is not None:
            self._restarter.cancel()
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        if await _exited(process, self.spec.grace_s, forced):
            return
        process.terminate()
        if not await _exited(process, KILL_AFTER_S, asyncio.Event()):
            log.warning("process does not end; killing it", process=self.spec.name)
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    async def _spawn(self) -> None:
        spec, parent = self.spec, os.getpid()
        self._process = await asyncio.create_subprocess_exec(
            *spec.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=spec.output,
            stderr=spec.output,
            env=spec.env,
            cwd=spec.folder,
            pass_fds=spec.fds,
            start_new_session=True,
            preexec_fn=lambda: terminate_with_parent(parent),
        )
        log.info("process started", process=spec.name, child=self._process.pid)

    async def _restart_forever(self) -> None:
        delay_s = 0.0
        while True:
            delay_s = restart_delay(delay_s, await self._wait_for_exit())
            await asyncio.sleep(delay_s)
            try:
                await self._spawn()
            except OSError as error:
                log.error("process cannot be started; trying again", process=self.spec.name, error=str(error))

    async def _wait_for_exit(self) -> float:
        """Wait until the process exits and return the seconds that this took."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        assert self._process is not None  # noqa: S101
        code = await self._process.wait()
        self.exits += 1
        log.error("process died; starting it again", process=self.spec.name, exit=exit_text(code))
        return loop.time() - begun


def restart_delay(previous_s: float, ran_for_s: float) -> float:
    """Return the seconds to wait before a restart, given the previous delay and how long the process ran."""
    if previous_s == 0.0 or ran_for_s > STEADY_S:
        return RESTART_DELAY_MIN_S
    return min(previous_s * 2, RESTART_DELAY_MAX_S)


def exit_text(code: int) -> str:
    """Describe an exit code. A negative one is a signal."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def terminate_with_parent(parent: int) -> None:
    """Make this process get SIGTERM when its parent dies (on Linux only), or at once if `parent` is dead already."""
    if _PRCTL is None:
        return
    _PRCTL(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


async def _exited(process: asyncio.subprocess.Process, within_s: float, forced: asyncio.Event) -> bool:
    """Wait for the process to exit, at most `within_s` and not after `forced` is set. Return True if it did."""
    exited = asyncio.ensure_future(process.wait())
    forcing = asyncio.ensure_future(forced.wait())
    await asyncio.wait((exited, forcing), timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    forcing.cancel()
    exited.cancel()
    return process.returncode is not None
