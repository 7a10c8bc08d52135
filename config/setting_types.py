"""The types that several groups of settings share, and the checks of their values."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr


def blank_to_none(value: Any) -> Any:
    """Return None for a blank text, and any other value unchanged: `NAME=` is the same as no NAME at all."""
    return None if isinstance(value, str) and not value.strip() else value


def http_address(value: str) -> str:
    """Return an address unchanged. Raises ValueError unless it is a full http:// or https:// address."""
    if urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname:
        raise ValueError("must be a full http:// or https:// address")
    return value


def base_address(value: str) -> str:
    """Return an address that a path is added to, without its last slash. Raises ValueError if it has a query."""
    if urlsplit(http_address(value)).port == 0 or "?" in value or "#" in value:
        raise ValueError("must be the address alone, without a query; e.g. https://bot.example.com")
    return value.rstrip("/")


def words_of(value: Any) -> Any:
    """Split a text at its commas into trimmed words. Any other value is returned unchanged."""
    return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value


def milliseconds(seconds: float) -> int:
    """Return a duration in whole milliseconds, at least 1."""
    return max(1, round(seconds * 1000))


BlankIsNone = BeforeValidator(blank_to_none)
Seconds = Annotated[float, Field(gt=0, le=31_536_000)]
OptionalSecret = Annotated[SecretStr | None, BlankIsNone]
HTTPAddress = Annotated[str, AfterValidator(http_address)]
BaseAddress = Annotated[str, AfterValidator(base_address)]
OptionalAddress = Annotated[HTTPAddress | None, BlankIsNone]
OptionalBaseAddress = Annotated[BaseAddress | None, BlankIsNone]
