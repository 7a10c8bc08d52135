"""`debouncer demo`: runs everything for ten seconds and checks the promises."""

from __future__ import annotations

from cli.demo.run import run

__all__ = ["run"]
