"""The scripts for RQ's keys. Each does in one call the work of many commands of RQ's own classes."""

from __future__ import annotations

from functools import cache
from importlib import resources

from buffer.scripts import Script, sha_of


@cache
def script(verb: str) -> Script:
    """Load `enqueue_dequeue`, `forget_jobs`, `shown` or `show`."""
    source = (resources.files("worker.rq") / "lua" / f"{verb}.lua").read_text(encoding="utf-8")
    return Script(verb, source, sha_of(source))
