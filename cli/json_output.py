"""The output of `--json`: one object, or one a line, with the field names of the admin API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import BaseModel

CONTROL = re.compile("[\x7f-\x9f]")
"""The control characters that JSON allows in a text. The others are escaped in it anyway."""


def print_json(body: BaseModel | Mapping[str, Any]) -> None:
    """Print one object in one line, in which nothing can steer a terminal."""
    fields = body.model_dump() if isinstance(body, BaseModel) else body
    print(CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", orjson.dumps(fields).decode()))
