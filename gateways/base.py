"""What every gateway file provides, and the few things they all need: JSON, tokens, loose field reading."""

from __future__ import annotations

import hmac
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import orjson
from pydantic import SecretStr

from buffer.models import Event
from config.settings import Settings

MAX_TIME_MS = 2**53
NUMBERS = (int, float)


class BadRequest(Exception):
    """The body is not what this gateway sends; the message says what is wrong with it."""


class HeaderMapping(Protocol):
    """Header fields by their names in lower case."""

    def get(self, name: str, default: str, /) -> str:
        """One of them, or `default`."""


class Headers:
    """Header fields as a server brings them, decoded when they are asked for: of many, few are."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[bytes, bytes]) -> None:
        self._fields = fields

    def get(self, name: str, default: str, /) -> str:
        """One of them, or `default`."""
        value = self._fields.get(name.encode())
        return default if value is None else value.decode("latin-1")


@dataclass(slots=True)
class Request:
    """One webhook request; `tail` is what follows the gateway in the path.

    `path` and `query_string` are as they came, undecoded, for gateways that sign the address.
    """

    headers: HeaderMapping
    query: Mapping[str, str]
    tail: str
    body: bytes
    path: str = ""
    query_string: str = ""


class HTTPReply(NamedTuple):
    """An HTTP answer of a gateway's own."""

    status: int
    content_type: str
    body: bytes


@dataclass(slots=True, frozen=True)
class Gateway:
    """A messaging gateway, as its file describes it; all functions are pure.

    `is_open`: whether a secret of it is configured. `verify`: whether a request carries one (constant time).
    `parse`: the messages and events of a body, in order; raises BadRequest. `retry_status`: what makes it send the
    same again. `accepted`: its answer to what was taken, when it wants other than our JSON counts. `handshake`: its
    answer to a GET, for gateways that ask before they send.
    """

    name: str
    is_open: Callable[[Settings], bool]
    verify: Callable[[Request, Settings], bool]
    parse: Callable[[Request], Sequence[Event]]
    retry_status: int = 503
    accepted: HTTPReply | None = None
    handshake: Callable[[Request, Settings], HTTPReply] | None = None


def secrets_equal(given: str, secret: SecretStr | None) -> bool:
    """Compare a given token with a secret in constant time; False when no secret is set.

    Beyond ASCII, some clients write a header in Latin-1, as we read it, and others in UTF-8.
    """
    expected = b"" if secret is None else secret.get_secret_value().encode()
    if not (expected and given):
        return False
    if given.isascii():
        return hmac.compare_digest(given.encode(), expected)
    spellings = (given.encode(), given.encode("latin-1", "replace"))
    return any([hmac.compare_digest(each, expected) for each in spellings])


def is_signed(given: str, secret: SecretStr | None, algorithm: str, signed: bytes) -> bool:
    """Whether `given` is the HMAC of these bytes, in hexadecimal; False when no secret is set."""
    if secret is None:
        return False
    expected = hmac.digest(secret.get_secret_value().encode(), signed, algorithm).hex()
    return hmac.compare_digest(given.encode(), expected.encode())


def token_matches(request: Request, secret: SecretStr | None, *headers: str) -> bool:
    """Whether a static token came as `Authorization: Bearer`, one of the named headers, or `?token=`.

    Evolution's by-events mode appends `/event-name` to the whole URL, so also to that value: it is cut off.
    """
    if secrets_equal(bearer_of(request), secret):
        return True
    given = [request.headers.get(name, "") for name in headers]
    if in_query := request.query.get("token", ""):
        given += (in_query, in_query.rpartition("/")[0])
    return any([secrets_equal(candidate, secret) for candidate in given if candidate])


def bearer_of(request: Request) -> str:
    """What `Authorization` carries, with or without the word Bearer; empty when there is none."""
    value = request.headers.get("authorization", "").strip()
    scheme, space, token = value.partition(" ")
    return token.strip() if space and scheme.lower() == "bearer" else value


def read_json(body: bytes) -> Any:
    """Parse a JSON body; raises BadRequest with the reason and place.

    Lone surrogates (a text cut inside an emoji) become U+FFFD: refusing them would lose the message for good.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if b"\\u" not in body:
            raise BadRequest(f"the body is not valid JSON: {error}") from None
    try:
        parsed = json.loads(body, parse_constant=_no_constant)
        text = json.dumps(parsed, ensure_ascii=False)
        return orjson.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not valid JSON: {error}") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def read_object(body: bytes) -> dict[str, Any]:
    """Parse a body that must be a JSON object; raises BadRequest."""
    parsed = read_json(body)
    if not isinstance(parsed, dict):
        raise BadRequest(f"the body must be a JSON object, not {json_type(parsed)}")
    return parsed


def json_type(value: Any) -> str:
    """The JSON name of a value's type, for messages."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def text_of(value: Any) -> str | None:
    """A non-empty string as it is, a number as digits, anything else as None."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return None


def object_of(value: Any) -> dict[str, Any]:
    """An object as it is, anything else as an empty one."""
    return value if isinstance(value, dict) else {}


def objects_of(value: Any) -> list[dict[str, Any]]:
    """The objects of a list, in order; of anything else none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def int_of(value: Any) -> int | None:
    """An integer from a number, a string of digits, or a protobuf Long `{low, high}`; else None."""
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
    """A finite number from a number or a string of one; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def time_of(value: Any, unit_ms: int) -> int | None:
    """A time in milliseconds from a count of units (1000: seconds, 1: ms); None when absent or absurd.

    Redis scripts compute with doubles, so nothing from MAX_TIME_MS on can be told apart.
    """
    count = value if type(value) in NUMBERS else int_of(value)
    if count is None:
        return None
    time_ms = count * unit_ms
    return round(time_ms) if 0 < time_ms < MAX_TIME_MS else None
