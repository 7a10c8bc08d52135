"""The guides as their readers follow them: the blocks to paste, the lines of .env, and the bodies to post."""

from __future__ import annotations

import re
from pathlib import Path

from config.settings import Settings

GUIDES = Path(__file__).parents[1] / "docs" / "guides"
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
SETTINGS = {name.upper() for name in Settings.model_fields}
SECRET = "a-secret-of-the-test"


def read_guide(name: str) -> str:
    """Return the English text of a guide."""
    return (GUIDES / f"{name}.md").read_text(encoding="utf-8")


def env_of(name: str) -> dict[str, str]:
    """Return the lines of .env that a guide has the reader write, with each secret filled in."""
    (block,) = [block for block in BLOCK.findall(read_guide(name)) if "AGENT_KIND=" in block]
    lines = (line.partition("=") for line in block.splitlines())
    return {key: value.strip('"') or SECRET for key, _, value in lines}


def bodies_of(name: str) -> list[str]:
    """Return the bodies that a guide has the reader post to our webhook: of `-d` or of the variable `body`."""
    found = [
        re.findall(r"(?:-d |^body=)'({.+})'$", block, re.MULTILINE)
        for block in BLOCK.findall(read_guide(name))
        if "127.0.0.1:8000/webhooks/" in block
    ]
    return [body for some in found for body in some]
