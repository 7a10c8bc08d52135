"""The values of the routes file: whether each one has the type of its setting, and what a reference stands for."""

from __future__ import annotations

from typing import Any, get_args
from urllib.parse import urlsplit

from pydantic import SecretStr, WrapValidator
from pydantic.fields import FieldInfo

from config.burst_settings import AUTO
from config.secret_references import FORMS, SecretReferences, is_reference

VALUE_MAX = 60
"""Characters of a value that are shown."""


def value_of(key: str, written: Any, field: FieldInfo, references: SecretReferences) -> Any:
    """Return the value of a key for its setting. Raises ValueError with what is wrong and what may stand there."""
    if _is_secret(field):
        return _secret(written, references)
    if problem := type_problem(written, field):
        raise ValueError(f"{_shown(written)} {problem}")
    if not isinstance(written, str):
        return tuple(written) if isinstance(written, list) else written
    if key == "separator":
        return written
    if not written.strip():
        raise ValueError("is empty: leave the line out")
    if is_reference(written):
        return references.resolve(written)
    if key.endswith("_url") and urlsplit(written).password:
        raise ValueError(f"has a password in it; write the whole address as {FORMS}")
    return written


def enabled_of(written: Any) -> bool:
    """Return the value of `enabled`. Raises ValueError unless it is true or false."""
    if not isinstance(written, bool):
        raise ValueError(f"{_shown(written)} is neither true nor false")
    return written


def type_problem(written: Any, field: FieldInfo) -> str | None:
    """Return what a TOML value must be to be the value of a setting, or None if it is that."""
    if written == AUTO and any(isinstance(one, WrapValidator) for one in field.metadata):
        return None
    expected, types = _expected(field)
    is_right = isinstance(written, types) and (bool in types or not isinstance(written, bool))
    if is_right and isinstance(written, list) and not all(isinstance(word, str) for word in written):
        is_right = False
    return None if is_right else f"must be {expected}"


def _expected(field: FieldInfo) -> tuple[str, tuple[type, ...]]:
    annotation = str(field.annotation)
    if field.annotation is bool:
        return "true or false", (bool,)
    if "tuple" in annotation:
        return 'a list of texts, e.g. ["a", "b"]', (list,)
    if "float" in annotation and "Literal" in annotation:
        return "a text or a number of seconds", (str, int, float)
    if "float" in annotation:
        return "a number of seconds", (int, float)
    return ("a whole number", (int,)) if field.annotation is int else ("a text", (str,))


def _secret(written: Any, references: SecretReferences) -> str:
    if not isinstance(written, str) or not is_reference(written):
        raise ValueError(f"must be {FORMS}: a secret does not stand in this file")
    return references.resolve(written)


def _is_secret(field: FieldInfo) -> bool:
    return SecretStr in (field.annotation, *get_args(field.annotation))


def _shown(written: Any) -> str:
    """Return a value as TOML has it, shortened."""
    text = str(written).lower() if isinstance(written, bool) else repr(written)
    return text if len(text) <= VALUE_MAX else f"{text[:VALUE_MAX]}…"
