"""What is wrong with the value of a setting, in our words: what was written, what was expected, what to write."""

from __future__ import annotations

import re
from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo

UNITS = {"": 1, "s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1, "seg": 1, "segundos": 1, "ms": 0.001} | {
    "m": 60,
    "min": 60,
    "mins": 60,
    "minutes": 60,
    "minutos": 60,
    "h": 3600,
    "hours": 3600,
    "d": 86_400,
    "days": 86_400,
}
BYTES = {"": 1, "b": 1, "k": 1024, "kb": 1024, "kib": 1024, "m": 1024**2, "mb": 1024**2, "mib": 1024**2} | {
    "g": 1024**3,
    "gb": 1024**3,
    "gib": 1024**3,
}
WRITTEN = re.compile(r"\s*([+-]?\d+(?:[.,_]\d+)*)\s*([A-Za-z]*)\s*")
TRUE = frozenset({"sim", "s", "verdadeiro", "ligado", "enabled", "enable", "yes!", "si", "sí", "oui", "ja"})
FALSE = frozenset({"nao", "não", "falso", "desligado", "disabled", "disable", "non", "nein", "none"})
THOUSANDS = re.compile(r"[._,](?=\d{3}(\D|$))")
VALUE_MAX = 60
"""Characters of a value that are shown."""

NOT_A_NUMBER = frozenset({"float_parsing", "int_parsing", "int_from_float", "float_type", "int_type", "finite_number"})
LIMITS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def sentence(item: Any, fields: dict[str, FieldInfo]) -> str:
    """Return one sentence for an error of pydantic. Values of secrets and addresses are not shown."""
    if not item["loc"]:
        return str(item["msg"]).removeprefix("Value error, ")
    name, value = str(item["loc"][0]), item["input"]
    field = fields.get(name)
    if item["type"] == "value_error" or field is None or _is_secret(field):
        return f"{name.upper()}: {str(item['msg']).removeprefix('Value error, ')}"
    shown = f"{name.upper()}={_shown(value)!r}"
    if not str(value).strip():
        return f"{shown} is empty: write {_expected(field)}, or leave the line out (default: {_plain(field.default)})"
    return f"{shown} {_fault(item, field)}"


def _fault(item: Any, field: FieldInfo) -> str:
    kind, value, context = item["type"], str(item["input"]), item.get("ctx", {})
    if kind in NOT_A_NUMBER or value.strip().lower() in ("nan", "inf", "-inf", "infinity"):
        return f"is not {_expected(field)}{_advice(value, field)}"
    if kind in LIMITS:
        word, key = LIMITS[kind]
        unit = " seconds" if _is_seconds(field) else " bytes" if _is_bytes(field) else ""
        return f"must be {word} {_plain(context[key])}{unit}"
    if kind in ("bool_parsing", "bool_type"):
        return f"is neither true nor false; write {_boolean(value.strip().lower())}"
    if kind == "literal_error":
        return f"is unknown; write {context['expected'].replace(chr(39), '')}"
    if kind == "string_pattern_mismatch":
        return "may only contain letters, digits, dots, dashes and underscores"
    return f"cannot be used: {item['msg']}"


def _expected(field: FieldInfo) -> str:
    if _is_seconds(field):
        return "a number of seconds"
    if _is_bytes(field):
        return "a number of bytes"
    if field.annotation is bool:
        return "true or false"
    literals = [str(value) for value in get_args(field.annotation) if isinstance(value, str)]
    return " or ".join(literals) if literals else "a whole number" if field.annotation is int else "a value"


def _advice(value: str, field: FieldInfo) -> str:
    """Return `; write 8` for a value that is nearly a number."""
    found = WRITTEN.fullmatch(value)
    units = UNITS if _is_seconds(field) else BYTES if _is_bytes(field) else {"": 1}
    if found is None or found[2].lower() not in units:
        return f"; write one like {_plain(field.default)}" if field.default is not None else ""
    number = float(_decimal(found[1]) if _is_seconds(field) else THOUSANDS.sub("", found[1]).replace(",", "."))
    number *= units[found[2].lower()]
    return f"; write {_plain(number if _is_seconds(field) else round(number))}"


def _boolean(word: str) -> str:
    return "true" if word in TRUE else "false" if word in FALSE else "true or false"


def _decimal(written: str) -> str:
    """Return a decimal number that is written with a comma, or with separators of thousands."""
    head, mark, tail = written.rpartition("," if "," in written else ".")
    digits = re.sub(r"[._,]", "", head)
    return f"{digits}.{tail}" if mark else re.sub(r"_", "", written)


def _is_seconds(field: FieldInfo) -> bool:
    """Return True for a duration: every setting with decimals is one, but for shares."""
    if (field.description or "").startswith("share "):
        return False
    return field.annotation is float or "float" in str(field.annotation)


def _is_bytes(field: FieldInfo) -> bool:
    return field.annotation is int and "bytes" in (field.description or "")


def _is_secret(field: FieldInfo) -> bool:
    return not field.repr or SecretStr in (field.annotation, *get_args(field.annotation))


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= VALUE_MAX else f"{text[:VALUE_MAX]}…"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.12g}" if isinstance(value, float) else str(value)
