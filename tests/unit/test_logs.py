"""The logs of a process whose stderr has no reader any more."""

from __future__ import annotations

import subprocess
import sys

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
