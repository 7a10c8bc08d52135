"""The recorded bodies with hostile values in them, as hypothesis draws them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from tests.recorded_bodies import CASES, body_of

PLANTED = "a-secret-that-came-in-a-body"
MARK = "raw-json-{}-goes-here"
RAW = [
    b"1e400",
    b"-1e400",
    b"1" + b"0" * 400,
    b"1" + b"0" * 5000,
    b"0.1e-9999",
    b"NaN",
    b'"\\ud83d"',
    b'"\\ude00 \\u0000"',
    b'"\xff\xfe"',
    b'"\xed\xa0\x80"',
    b'{"a": 1, "a": {"b": 2}, "a": []}',
    b"[" * 900 + b"]" * 900,
    b'{"a":' * 900 + b"1" + b"}" * 900,
    b"[" * 20_000,
    b'{"ephemeralMessage":{"message":' * 450 + b"{}" + b"}" * 900,
    b'{"low": 1e30, "high": -1}',
    b'{"low": 123456789012, "high": 99999999999999999999}',
]
"""JSON that no serialiser writes."""

VALUES: st.SearchStrategy[Any] = st.one_of(
    st.integers(0, len(RAW) - 1).map(MARK.format),
    st.sampled_from(
        [None, True, False, 0, -1, 2**63, 2**64 - 1, 1.5, 1e308, "", " ", "\0", "0", "@", ":@", "_", "1_2_3"]
    ),
    st.sampled_from([[], {}, [[]], [None, 1], {"": {}}, {"id": {"id": []}}, "\u202e\x1b[2J\n", "٣٤٥", "a" * 70_000]),
    st.text(max_size=20),
)

Path = tuple[str | int, ...]


def paths_of(tree: Any, here: Path = ()) -> Iterator[Path]:
    """The way to every value of a JSON tree."""
    branches = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for name, value in branches:
        yield (*here, name)
        yield from paths_of(value, (*here, name))


def put(tree: Any, path: Path, value: Any) -> None:
    """Replace what is there, unless it is gone with what was replaced before."""
    with suppress(KeyError, IndexError, TypeError):
        for step in path[:-1]:
            tree = tree[step]
        tree[path[-1]] = deepcopy(value)


@st.composite
def mutated_json(draw: st.DrawFn, gateway: str) -> bytes:
    """A recorded body with hostile values in it, a secret beside them, and sometimes its end cut off."""
    tree = json.loads(draw(st.sampled_from(recorded(gateway))))
    if isinstance(tree, dict):
        tree |= {"apikey": PLANTED, "token": PLANTED}
    for path in draw(st.lists(st.sampled_from(list(paths_of(tree))), min_size=1, max_size=4)):
        put(tree, path, draw(VALUES))
    body = json.dumps(tree, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    body = re.sub(rb'"raw-json-(\d+)-goes-here"', lambda found: RAW[int(found[1])], body)
    return draw(st.one_of(st.just(body), st.integers(0, len(body)).map(lambda end: body[:end])))


@st.composite
def mutated_form(draw: st.DrawFn, gateway: str) -> bytes:
    """A recorded form with hostile fields."""
    fields = [*draw(st.sampled_from(recorded(gateway))).split(b"&"), b"apikey=" + PLANTED.encode()]
    hostile = st.sampled_from(
        [b"%", b"%zz", b"=", b"%ff%fe", b"%ed%a0%80", b"%00", b"1" * 5000, b"\xff", b"NaN", b"a=b"]
    )
    for index in draw(st.lists(st.integers(0, len(fields) - 1), min_size=1, max_size=4)):
        fields[index] = fields[index].partition(b"=")[0] + b"=" + draw(hostile)
    return b"&".join(fields)


def recorded(gateway: str) -> list[bytes]:
    """The bodies of a gateway that we have, without the large ones."""
    bodies = [body_of(*case) for case in CASES if case[0] == gateway] or [
        b'{"conversation": "5511900000001", "text": "a text of some length", "message_id": "m1", "media": {"url": "x"}}'
    ]
    return [body for body in bodies if len(body) < 50_000]
