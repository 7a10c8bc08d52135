"""Reads the JSON of an agent's answer: its parts, and whether it hands the conversation over.

What is not understood is named by its place and the reason, never by its content. The rest is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

from gateways.sending import Part, PartKind, is_link

PARTS_MAX = 20
"""Parts of one answer that are read."""

NAMED_MAX = 5
"""Problems that are named. The others are counted."""

NAME_MAX = 40
"""Characters of a field's name in the log."""

NAME = re.compile(r"[A-Za-z_][A-Za-z_.-]*\Z")

FILE_KINDS: tuple[PartKind, ...] = tuple(kind for kind in get_args(PartKind) if kind != "text")

EXPECTED = "JSON without `reply` (a text or a part) or `replies` (a list of them)"

JSON_TYPES = {bool: "a boolean", dict: "an object", list: "a list", str: "a text", type(None): "null"}


class AnswerBody(NamedTuple):
    """The parts of an answer in order, whether it hands over, and what was not understood, for the log."""

    parts: tuple[Part, ...]
    handoff: bool
    not_understood: str | None


class NotUnderstood(Exception):
    """A part is left out. The message says why, for people."""


def read_body(answer: Any) -> AnswerBody:
    """Read parsed JSON. For anything that is no answer, return no parts and `not_understood`."""
    if not isinstance(answer, dict):
        return AnswerBody((), False, EXPECTED)
    problems: list[str] = []
    handoff = _handoff(answer, problems)
    items = _items(answer)
    if items is None:
        items = []
        if not handoff or "reply" in answer or "replies" in answer:
            problems.append(EXPECTED)
    parts = [part for number, item in enumerate(items[:PARTS_MAX], 1) for part in _read(number, item, problems)]
    if len(items) > PARTS_MAX:
        problems.append(f"{len(items)} parts, of which the first {PARTS_MAX} are taken")
    return AnswerBody(tuple(parts), handoff, _summary(problems))


def _handoff(answer: dict[str, Any], problems: list[str]) -> bool:
    handoff = answer.get("handoff")
    if not isinstance(handoff, bool | None):
        problems.append(f"`handoff` is {_type(handoff)}, not true or false")
    return handoff is True


def _items(answer: dict[str, Any]) -> list[Any] | None:
    """Return the parts as the agent wrote them, or None if they are missing or not what they should be."""
    if "replies" in answer:
        replies = answer["replies"]
        return replies if isinstance(replies, list) else None
    reply = answer.get("reply")
    if isinstance(reply, str | dict):
        return [reply]
    return [] if reply is None and "reply" in answer else None


def _read(number: int, item: Any, problems: list[str]) -> Iterator[Part]:
    """Yield the part of an item, or name the problem. Blank texts are left out."""
    try:
        part = _part(item)
    except NotUnderstood as reason:
        problems.append(f"part {number}: {reason}")
        return
    if part.kind != "text" or (part.text and part.text.strip()):
        yield part


def _part(item: Any) -> Part:
    """Return the part of an item. Raises NotUnderstood."""
    if isinstance(item, str):
        return Part(text=item)
    if not isinstance(item, dict):
        raise NotUnderstood(f"{_type(item)}, not a text or an object")
    kinds = [kind for kind in FILE_KINDS if item.get(kind) is not None]
    if len(kinds) > 1:
        raise NotUnderstood(f"{' and '.join(kinds)} in one part; each file is a part of its own")
    if kinds:
        return _file(kinds[0], item)
    if "text" not in item:
        raise NotUnderstood(f"neither `text` nor {', '.join(FILE_KINDS)}, but {_names(item)}")
    return Part(text=_text(item, "text"))


def _file(kind: PartKind, item: dict[str, Any]) -> Part:
    url = _text(item, kind).strip()
    if not is_link(url):
        raise NotUnderstood(f"`{kind}` is not an http or https address")
    caption = _text(item, "caption") or _text(item, "text")
    return Part(kind, caption or None, url, _text(item, "filename") or None)


def _text(item: dict[str, Any], name: str) -> str:
    """Return a field, or an empty text without it. Raises NotUnderstood if it is not a text."""
    value = item.get(name)
    if not isinstance(value, str | None):
        raise NotUnderstood(f"`{name}` is {_type(value)}, not a text")
    return value or ""


def _type(value: Any) -> str:
    return JSON_TYPES.get(type(value), "a number")


def _names(item: dict[str, Any]) -> str:
    """Return the names of the fields. A name that does not look like one may be a number or a text."""
    names = (name[:NAME_MAX] if NAME.match(name) else "?" for name in list(item)[:NAMED_MAX])
    return ", ".join(f"`{name}`" for name in names) or "no field"


def _summary(problems: list[str]) -> str | None:
    more = len(problems) - NAMED_MAX
    named = problems[:NAMED_MAX] + ([f"and {more} more"] if more > 0 else [])
    return "; ".join(named) or None
