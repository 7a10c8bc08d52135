"""Reading a body: JSON, and single fields read loosely, because gateways change the types of their fields."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from gateways.base import BadRequest

MAX_TIME_MS = 2**53
"""Milliseconds since 1970. Redis scripts compute with doubles, which are exact only below this number."""

EARLIEST_S = 1_230_768_000
"""2009-01-01, in seconds since 1970."""

LATEST_S = 4_102_444_800
"""2100-01-01, in seconds since 1970."""

UNITS_PER_MS = (1, 1000, 1_000_000)
"""Milliseconds, microseconds and nanoseconds."""

NUMBERS = (int, float)


def read_json(body: bytes) -> Any:
    """Parse a JSON body. Raises BadRequest with the reason and the place.

    Lone surrogates (a text cut inside an emoji) become U+FFFD. A refusal would lose the message for good.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if b"\\u" not in body:
            raise BadRequest(f"the body is not valid JSON: {error}") from None
    try:
        parsed = json.loads(body, parse_constant=_refuse_constant)
        text = json.dumps(parsed, ensure_ascii=False)
        return orjson.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not valid JSON: {error}") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def read_object(body: bytes) -> dict[str, Any]:
    """Parse a body that must be a JSON object, or a list around one. Raises BadRequest."""
    parsed = read_json(body)
    if type(parsed) is dict and "body" not in parsed:
        return parsed
    parsed = passed_on(parsed)
    if isinstance(parsed, list) and len(parsed) == 1:
        parsed = parsed[0]
    if not isinstance(parsed, dict):
        raise BadRequest(f"the body must be a JSON object, not {json_type(parsed)}")
    return parsed


def passed_on(parsed: Any) -> Any:
    """Return the body of a webhook that n8n passes on: `{"headers": …, "body": …}`, alone or as the only one of a list.

    Anything else is returned unchanged.
    """
    item = parsed[0] if isinstance(parsed, list) and len(parsed) == 1 else parsed
    if isinstance(item, dict) and isinstance(body := item.get("body"), dict | list):
        return body if len(item) == 1 or isinstance(item.get("headers"), dict) else parsed
    return parsed


def json_type(value: Any) -> str:
    """Return the JSON name of a value's type, for error messages."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def text_of(value: Any) -> str | None:
    """Return a non-empty string unchanged and a number as text. Return None for anything else."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return None


def first_text(fields: Mapping[str, Any], *names: str) -> str | None:
    """Return the text of the first of these fields that has one, else None."""
    for name in names:
        if text := text_of(fields.get(name)):
            return text
    return None


def object_of(value: Any) -> dict[str, Any]:
    """Return an object unchanged, and an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def objects_of(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a list in their order, and an empty list for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def objects_in(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a value: itself, or those of a list in their order."""
    return [value] if isinstance(value, dict) else objects_of(value)


def first_object(value: Any) -> dict[str, Any]:
    """Return an object unchanged, the first object of a list, and an empty one for anything else."""
    if isinstance(value, dict):
        return value
    return next((item for item in value if isinstance(item, dict)), {}) if isinstance(value, list) else {}


def int_of(value: Any) -> int | None:
    """Return the integer part of a number or of a string with one, or the value of a protobuf Long `{low, high}`.

    Returns None for anything else.
    """
    if isinstance(value, dict):
        low, high = value.get("low"), value.get("high")
        if isinstance(low, int) and isinstance(high, int):
            return (high << 32) + (low & 0xFFFFFFFF)
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return int(float(value)) if not isinstance(value, int) else value
    except (ValueError, OverflowError):
        return None


def number_of(value: Any) -> float | None:
    """Return a finite number, the one in a string, or the value of a protobuf Long. Return None for anything else."""
    if isinstance(value, dict):
        value = int_of(value)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def time_of(value: Any) -> int | None:
    """Return a time in milliseconds from a count of seconds, milliseconds, microseconds or nanoseconds since 1970.

    The size of the count tells its unit. An ISO time with a zone is a time, too. Returns None if there is neither, and
    for a time before 2009 (no gateway is older) or from 2100 on. The clock of this machine is not asked: a wrong one
    must not change what is stored.
    """
    count = value if type(value) in NUMBERS else _seconds_in(value) if _is_iso(value) else int_of(value)
    if count is None:
        return None
    if EARLIEST_S <= count < LATEST_S:
        return count * 1000 if type(count) is int else round(count * 1000)
    for per_ms in UNITS_PER_MS:
        if EARLIEST_S * 1000 * per_ms <= count < LATEST_S * 1000 * per_ms:
            return int(count // per_ms)
    return None


def _is_iso(value: Any) -> bool:
    """Return True for a text with a hyphen after the year."""
    return isinstance(value, str) and value[4:5] == "-"


def _seconds_in(written: str) -> float | None:
    """Return an ISO time, or `2020-03-03 13:05:57 UTC`, as seconds since 1970. None for one without a zone."""
    try:
        moment = datetime.fromisoformat(written.replace(" UTC", "+00:00"))
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo else None
