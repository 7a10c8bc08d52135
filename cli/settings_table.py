"""The settings as a table for people; secrets are hidden."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from cli.addresses import display_url
from config.settings import Settings


def settings_rows(settings: Settings) -> list[tuple[str, str, str]]:
    """Name, value, and the default where the value differs from it."""
    rows = []
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        note = "" if value == field.default else f"default: {shown(name, field.default)}"
        rows.append((name.upper(), shown(name, value), note))
    return rows


def shown(name: str, value: Any) -> str:
    """A value as it would stand in .env, or a stand-in for what must not be seen."""
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
    return display_url(value) if name.endswith("_url") else str(value).replace("\n", r"\n").replace("\t", r"\t")
