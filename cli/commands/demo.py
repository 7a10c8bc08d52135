"""`debouncer demo`: runs everything for twenty seconds and checks the promises."""

from __future__ import annotations

from cli.demo.run import run

__all__ = ["run"]
