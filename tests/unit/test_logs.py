"""The logs: a stderr without a reader stops nothing, and tracebacks show no variables."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from config.trace_context import trace_id_of

PROGRAM = """
import os, sys
from config.logs import configure_logs, get_logger
from config.settings import load_settings

configure_logs(load_settings(env_file=None))
reader, writer = os.pipe()
os.close(reader)
os.dup2(writer, 2)
get_logger().warning("this event is lost", peer="5511900000000")
print("goes on")
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
"""


def test_a_log_that_cannot_be_written_stops_nothing():
    """Events are lost with their reader, and nothing else."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "goes on\n"), done.stderr


def test_lines_about_a_flush_carry_its_trace_id(capfd: pytest.CaptureFixture[str]):
    """A line with a flush_id has the trace id that the agent gets, and no other line has one."""
    program = """
from config.logs import configure_logs, get_logger
from config.settings import load_settings

configure_logs(load_settings(env_file=None, log_format="json"))
get_logger().warning("one", flush_id="flush-1")
get_logger().warning("two", flush_id=None)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    one, two = map(json.loads, capfd.readouterr().err.splitlines())
    assert one["trace_id"] == trace_id_of("flush-1")
    assert "trace_id" not in two


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_shows_no_variables(capfd: pytest.CaptureFixture[str], log_format: str):
    """What a function held when it failed may be a text, a number or a token."""
    program = f"""
from config.logs import configure_logs, get_logger
from config.settings import load_settings

configure_logs(load_settings(env_file=None, log_format="{log_format}"))
said = "".join(["oi ", "Ana"])
try:
    raise ValueError("odd")
except ValueError as error:
    get_logger().error("failed", exc_info=error)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    told = capfd.readouterr().err
    assert "ValueError: odd" in told
    assert "oi Ana" not in told
