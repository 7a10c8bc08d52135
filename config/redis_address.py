"""Addresses of Redis that would lead somewhere else than they say, each with the form that is meant.

redis-py takes `redis:6379` and goes to localhost without a word.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "redis+cluster")
OTHER_SCHEMES = {
    "valkey": "redis",
    "valkeys": "rediss",
    "tcp": "redis",
    "tls": "rediss",
    "ssl": "rediss",
    "redis+tls": "rediss",
    "redis+ssl": "rediss",
    "redis+unix": "unix",
    "redis+socket": "unix",
    "sentinel": "redis+sentinel",
    "redis-sentinel": "redis+sentinel",
    "cluster": "redis+cluster",
    "redis-cluster": "redis+cluster",
}
"""Schemes of other clients, and ours."""

HOST_AND_PORT = re.compile(r"(//)?(?P<host>[\w.-]+|\[[0-9a-fA-F:]+\])(:(?P<port>\d+))?(/(?P<db>\d*))?", re.ASCII)
PORT = re.compile(r"\d+(/|$)", re.ASCII)
FORMS = f"must start with one of {', '.join(f'{scheme}://' for scheme in SCHEMES)}"


def address_problem(value: str) -> str | None:
    """Return what is wrong with an address of Redis, or None. The text does not repeat a password."""
    scheme, separator, rest = value.partition("://")
    if not separator:
        return _without_scheme(value)
    if scheme.lower() not in SCHEMES:
        return _with_hint(
            FORMS, f"{OTHER_SCHEMES[scheme.lower()]}://{rest}" if scheme.lower() in OTHER_SCHEMES else None
        )
    parts = urlsplit(value)
    if parts.scheme == "unix":
        return None if parts.path.strip("/") else "names no socket; for example unix:///run/redis/redis.sock"
    return _place_problem(parts)


def _place_problem(parts: SplitResult) -> str | None:
    place = parts.netloc.rpartition("@")[2]
    if not place or place.startswith(":"):
        return (
            f"names no host; for example {parts.scheme}://localhost:6379. A password with / ? # or @ in it must be "
            "percent-encoded (%2F %3F %23 %40)"
        )
    database = parts.path.strip("/")
    if parts.scheme in ("redis", "rediss") and database and not database.isdecimal():
        return f"ends with the number of the database, not a name; for example {parts.scheme}://host:6379/0"
    return None


def _without_scheme(value: str) -> str:
    if "@" in value:
        return _with_hint(FORMS, "redis://user:password@host:6379/0")
    if value.startswith(("/", "unix:/")) and not value.startswith("//"):
        return _with_hint(FORMS, f"unix://{value.removeprefix('unix:')}")
    scheme, colon, rest = value.partition(":")
    if colon and scheme in SCHEMES and not PORT.match(rest):
        return _with_hint(FORMS, _form(scheme, HOST_AND_PORT.fullmatch(rest.lstrip("/"))))
    return _with_hint(FORMS, _form("redis", HOST_AND_PORT.fullmatch(value)))


def _form(scheme: str, found: re.Match[str] | None) -> str | None:
    if found is None:
        return None
    host = "localhost" if found["host"].isdecimal() else found["host"]
    port = found["host"] if found["host"].isdecimal() else found["port"] or "6379"
    return f"{scheme}://{host}:{port}/{found['db'] or '0'}"


def _with_hint(text: str, form: str | None) -> str:
    """Add the form that is meant, unless it has a password."""
    if form is None or ("@" in form and "user:password@" not in form) or "?" in form:
        return text
    return f"{text}; did you mean {form}?"
