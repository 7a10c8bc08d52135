"""The output of `--json`: one object, or one a line, with the field names of the admin API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import BaseModel


def print_json(body: BaseModel | Mapping[str, Any]) -> None:
    """Print one object in one line."""
    fields = body.model_dump() if isinstance(body, BaseModel) else body
    print(orjson.dumps(fields).decode())
