"""Content of no known kind: a bounded copy of it for the agent, and the words in it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from gateways.fields import text_of

RAW_MAX = 4096
"""Bytes of JSON. The `raw` of a message is never larger."""

SECRET_NAME = re.compile(
    r"token|secret|passw|apikey|api_key|authoriz|signature|credential|thumbnail|base64|sha256|directpath|streaming"
    r"|sidecar|waveform|encrypt|^enc|cipher|invitecode|key$|hash$|^messagecontextinfo$|^contextinfo$|^vcard$",
    re.IGNORECASE,
)
"""Names of fields that `raw` leaves out: secrets, keys, files, and what other parts of the message tell."""

BINARY = re.compile(r"(?:data:[\w/+.-]+;base64,)?[A-Za-z0-9+/_-]{200,}={0,2}")
"""A string that is a file and no words."""

WORD_NAMES = (
    "hydratedcontenttext",
    "contenttext",
    "body",
    "caption",
    "text",
    "messagetext",
    "message",
    "conversation",
    "notemessage",
    "description",
    "question",
    "name",
    "title",
    "hydratedtitletext",
    "groupname",
    "newslettername",
    "label",
    "displaytext",
)
"""Names of fields with words, in lower case. The words of the first name that is there are the text of the message."""

WORDLESS_NAMES = frozenset(
    {
        "buttons",
        "hydratedbuttons",
        "sections",
        "options",
        "footer",
        "key",
        "nativeflowmessage",
        "externaladreply",
        "contextinfo",
        "messagecontextinfo",
        "quotedmessage",
        "sender",
        "chat",
        "from",
    }
)
"""Names of fields, in lower case, whose content is not what the person said: what can be chosen, who wrote, quotes."""

NODES_MAX = 300
DEPTH_MAX = 7


class Bounds(NamedTuple):
    """The size of a copy: characters of a string, entries of an object or list, levels."""

    characters: int
    entries: int
    levels: int


BOUNDS = (Bounds(1500, 60, 9), Bounds(300, 30, 7), Bounds(100, 12, 5), Bounds(40, 6, 4))
"""Tried in turn, until the copy is small enough."""

CUT = "…"


def raw_of(value: Any) -> Any:
    """Return a copy of a value of at most RAW_MAX bytes as JSON, without secrets and files. Return None for nothing."""
    if not isinstance(value, dict | list):
        return None
    for bounds in BOUNDS:
        kept = _cut(value, bounds, bounds.levels)
        if len(orjson.dumps(kept)) <= RAW_MAX:
            return kept or None
    return None


def _cut(value: Any, bounds: Bounds, levels: int) -> Any:
    if isinstance(value, str):
        if BINARY.fullmatch(value):
            return CUT
        return value if len(value) <= bounds.characters else value[: bounds.characters] + CUT
    if isinstance(value, dict):
        return _cut_object(value, bounds, levels)
    if isinstance(value, list):
        return [_cut(item, bounds, levels - 1) for item in value[: bounds.entries]] if levels else CUT
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**53) < value < 2**53:
        return str(value)
    return value


def _cut_object(value: dict[str, Any], bounds: Bounds, levels: int) -> Any:
    if not levels:
        return CUT
    kept = {name: part for name, part in value.items() if part not in (None, "", [], {}) and is_public(name)}
    return {name[:60]: _cut(part, bounds, levels - 1) for name, part in list(kept.items())[: bounds.entries]}


def is_public(name: str) -> bool:
    """Return True if a field of this name holds neither a secret nor a file."""
    return SECRET_NAME.search(name) is None


def words_of(value: Any) -> str | None:
    """Return the words in content of an unknown form, from the fields that usually hold them. None without any.

    The nearest field with the best name wins. A long content is searched in part.
    """
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, list) and (lines := [line for line in value if isinstance(line, str) and line.strip()]):
        return "\n".join(lines)
    if isinstance(value, dict) and (name := text_of(value.get("name"))) and (more := text_of(value.get("description"))):
        return f"{name}\n{more}"
    best: tuple[int, str] | None = None
    for name, words in _words_in(value):
        rank = WORD_NAMES.index(name)
        if best is None or rank < best[0]:
            best = rank, words
    return best[1] if best else None


def _words_in(value: Any) -> Iterator[tuple[str, str]]:
    """Yield the name and the words of each field that usually holds words, level by level."""
    level, visited = [value], 0
    for _ in range(DEPTH_MAX):
        below: list[Any] = []
        for node in level:
            visited += 1
            if visited > NODES_MAX:
                return
            if isinstance(node, list):
                below.extend(item for item in node if isinstance(item, dict | list))
            elif isinstance(node, dict):
                yield from _words_at(node, below)
        level = below


def _words_at(node: Mapping[str, Any], below: list[Any]) -> Iterator[tuple[str, str]]:
    """Yield the words of one object, and collect the values below it."""
    for written, part in node.items():
        name = written.lower()
        if name in WORDLESS_NAMES or not is_public(written):
            continue
        if isinstance(part, dict) and name in WORD_NAMES and (words := _inner_text(part)):
            yield name, words
        elif isinstance(part, dict | list):
            below.append(part)
        elif name in WORD_NAMES and isinstance(part, str) and part.strip() and not BINARY.fullmatch(part):
            yield name, part


def _inner_text(part: Mapping[str, Any]) -> str | None:
    """Return the text of `{"body": {"text": "…"}}`."""
    inner = part.get("text")
    return inner if isinstance(inner, str) and inner.strip() else None


def nearest_text(value: Any, names: Collection[str]) -> str | None:
    """Return the text or number of the nearest field with one of these names in lower case, the first name first.

    A file is no text.
    """
    level = [value]
    for _ in range(DEPTH_MAX):
        objects = [node for node in level if isinstance(node, dict)][:NODES_MAX]
        for wanted in names:
            for node in objects:
                for name, part in node.items():
                    if name.lower() == wanted and (text := text_of(part)) and not BINARY.fullmatch(text):
                        return text
        below = [part for node in objects for name, part in node.items() if name.lower() not in WORDLESS_NAMES]
        level = below + [item for part in below if isinstance(part, list) for item in part]
    return None
