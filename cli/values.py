"""Values of settings as people read them: as they are written in .env, without secrets."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from cli.terminal import redact_url


def value_text(name: str, value: Any) -> str:
    """Return the value as it is written in .env, without secrets."""
    if value is None:
        return "(not set)"
    if isinstance(value, SecretStr):
        return "(set, hidden)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return ",".join(value) or "(none)"
    return redact_url(value) if name.endswith("_url") else str(value).replace("\n", r"\n").replace("\t", r"\t")
