"""`debouncer demo`: the whole product at work for ten seconds, and a check of what it promises."""

from __future__ import annotations

from cli.demo.run import run

__all__ = ["run"]
