"""Logs the names of the environment and of `.env` that may be misspelt settings, once for each start."""

from __future__ import annotations

import os

from config.logs import get_logger
from config.settings import spelling_warnings

TOLD = "DEBOUNCER_SPELLING_TOLD"
"""A variable that tells the processes which this one starts that it has logged the names."""


def warn_of_spelling() -> None:
    """Log each name that may be a misspelt setting, unless a process that started this one has done so."""
    if TOLD not in os.environ:
        os.environ[TOLD] = "1"
        for text in spelling_warnings():
            get_logger().warning(text)
