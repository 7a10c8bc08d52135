"""Writes the lists of settings from the model: `python -m tests.settings_docs` updates all three files.

docs/settings.md and .env.example list every setting. README.md lists some of them, in a table with the same rows.
"""

from __future__ import annotations

import re
from pathlib import Path

from pydantic.fields import FieldInfo

from config.settings import Settings

ROOT = Path(__file__).parents[1]
README, REFERENCE, ENV_EXAMPLE = ROOT / "README.md", ROOT / "docs/settings.md", ROOT / ".env.example"

GROUPS = {
    "message_buffer_enabled": "Bursts",
    "agent_url": "Agent",
    "send_replies": "Replies",
    "takeover_pause": "Takeover",
    "generic_token": "Gateways: secrets of their webhooks",
    "evolution_url": "Gateways: addresses and secrets for replies",
    "host": "Webhook",
    "redis_url": "Redis",
    "worker_concurrency": "Worker",
    "message_max_age": "Messages",
    "admin_token": "Running",
}
"""The first setting of each group, with the group's heading."""

HEADER = "| Setting | Default | Meaning |\n|---|---|---|"
ROW = re.compile(r"^\| `([A-Z_]+)` \|.*$", re.MULTILINE)

INTRODUCTION = """# Settings

Settings are environment variables, or lines of a `.env` file ([.env.example](../.env.example) has them all). Durations
are seconds (decimals allowed), sizes are bytes, lists are comma-separated. `debouncer check` prints the values in force
and tries every connection.

This page is written from `config/settings.py` by `python -m tests.settings_docs`.
"""

ENV_INTRODUCTION = """\
# Every setting with its default. Copy this file to .env and remove the # of each line that you change.
# Durations are seconds (decimals allowed), sizes are bytes, lists are comma-separated.
"""


def default_text(field: FieldInfo) -> str:
    """Return the default as it is written in the environment."""
    value = field.default
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value).replace("\n", r"\n")


def rows() -> dict[str, str]:
    """Return the table row of each setting, by the name of its variable."""
    return {name.upper(): _row(name.upper(), field) for name, field in Settings.model_fields.items()}


def reference() -> str:
    """Return the text of docs/settings.md."""
    parts = [INTRODUCTION]
    for heading, names in _groups():
        table = "\n".join([HEADER, *(rows()[name.upper()] for name in names)])
        parts.append(f"## {heading}\n\n{table}\n")
    return "\n".join(parts)


def env_example() -> str:
    """Return the text of .env.example."""
    parts = [ENV_INTRODUCTION]
    for heading, names in _groups():
        parts.append(f"# ---- {heading} ----\n")
        parts += [_env_lines(name, Settings.model_fields[name]) for name in names]
    return "\n".join(parts)


def readme(text: str) -> str:
    """Return the text of README.md with its rows replaced by those of the model."""
    return ROW.sub(lambda found: rows().get(found[1], found[0]), text)


def _groups() -> list[tuple[str, list[str]]]:
    groups: list[tuple[str, list[str]]] = []
    for name in Settings.model_fields:
        if name in GROUPS:
            groups.append((GROUPS[name], []))
        groups[-1][1].append(name)
    return groups


def _row(variable: str, field: FieldInfo) -> str:
    default = default_text(field)
    return f"| `{variable}` | {f'`{default}`' if default else ''} | {field.description} |"


def _env_lines(name: str, field: FieldInfo) -> str:
    return f"# {field.description}\n#{name.upper()}={default_text(field)}\n"


if __name__ == "__main__":
    REFERENCE.write_text(reference(), encoding="utf-8")
    ENV_EXAMPLE.write_text(env_example(), encoding="utf-8")
    README.write_text(readme(README.read_text(encoding="utf-8")), encoding="utf-8")
