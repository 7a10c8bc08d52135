"""Collects from the source what the product reports when something fails: log lines, errors, results of checks."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("agents", "buffer", "cli", "config", "gateways", "webhook", "worker")

LOGGED = frozenset({"warning", "error", "critical", "exception"})
"""Methods of a logger whose lines tell of a failure."""

SAID = {
    "later": 0,
    "refused": 0,
    "misconfigured": 0,
    "doubt": 0,
    "AgentFailure": 0,
    "Again": 0,
    "Unreadable": 0,
    "Damaged": 0,
    "NotUnderstood": 0,
    "Later": 0,
    "Refused": 0,
    "Misconfigured": 0,
    "InDoubt": 0,
    "CheckResult": 2,
    "HTTPError": 1,
    "Outage": 0,
}
"""What makes a failure, and the number of the argument that is its sentence: of an HTTPError, its code."""

HINTS = {
    "agents": {"_not_registered", "_setting", "_advice", "hint"},
    "worker": {"_advice", "not_reached", "_reason", "broken"},
    "gateways": {"why_not_sent"},
    "webhook": {"_problem", "_detail"},
    "cli": {"_unreachable", "explain", "readiness_problem", "_detail"},
    "cli/commands": {"_worker_problem"},
}
"""Functions that return what is wrong, by the folder of their file."""

FRAGMENT_MIN = 4
"""Characters of a fragment that is looked for. Shorter ones are between two values."""

EDGES = " :;,.()'`"
"""Signs between a fixed fragment and a value."""

HINT_WORDS = 3
"""Words of a hint. Shorter texts are names."""

REASON_FILES = ("*_send.py", "*_errors.py", "sending_http.py")
"""The files of gateways/ whose sentences are what a gateway said of a part."""

REASON_WORDS = 4
"""Words of such a sentence. Shorter texts are names."""

THEIR_WORDS = frozenset({"not authorized for bots", "not registered on whatsapp"})
"""Words of gateways that are looked for in a response. So are texts with `|`, which are patterns."""


def reported() -> dict[str, str]:
    """Return the longest fixed fragment of each sentence, and the file that has it."""
    found: dict[str, str] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            hints = HINTS.get(str(path.parent.relative_to(ROOT)), set())
            for sentence in sentences(path.read_text(encoding="utf-8"), hints):
                found.setdefault(sentence, str(path.relative_to(ROOT)))
    return found


def reasons() -> dict[str, str]:
    """Return each fixed sentence with which a gateway's response is told, and the file that has it."""
    files = {path for pattern in REASON_FILES for path in (ROOT / "gateways").glob(pattern)}
    return {
        text: str(path.relative_to(ROOT))
        for path in sorted(files)
        for text in long_texts(path.read_text(encoding="utf-8"))
    }


def long_texts(source: str) -> Iterator[str]:
    """Yield the texts of a source that are sentences: no docstrings, no patterns, nothing that is only compared."""
    nodes: list[ast.AST] = [ast.parse(source)]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value.strip(EDGES)
            if len(text.split()) >= REASON_WORDS and "|" not in text and text not in THEIR_WORDS:
                yield text
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_pattern = isinstance(node, ast.Call) and ast.unparse(node.func) == "re.compile"
        if not (is_docstring or is_pattern or isinstance(node, ast.Compare)):
            nodes += ast.iter_child_nodes(node)


def sentences(source: str, hints: Collection[str] = ()) -> Iterator[str]:
    """Yield the longest fixed fragment of each sentence of a source text, and what its functions `hints` return."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            for value in _values(node):
                fragment = max((piece.strip(EDGES) for piece in _pieces(value)), key=len, default="")
                if len(fragment) >= FRAGMENT_MIN:
                    yield fragment
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in hints:
            yield from _hints(node)


def _values(call: ast.Call) -> Iterator[ast.expr]:
    function = call.func
    if isinstance(function, ast.Attribute):
        is_line = isinstance(function.value, ast.Name) and function.value.id == "log" and function.attr in LOGGED
        yield from call.args[:1] if is_line else []
    elif isinstance(function, ast.Name):
        yield from [word.value for word in call.keywords if word.arg == "not_understood"]
        position = SAID.get(function.id)
        if position is not None and len(call.args) > position and not _is_well(call):
            yield call.args[position]


def _hints(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """Yield the fixed pieces of a function that are sentences."""
    for statement in function.body:
        for node in ast.walk(statement):
            is_docstring = isinstance(statement, ast.Expr)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and not is_docstring:
                fragment = node.value.strip(EDGES)
                if len(fragment.split()) >= HINT_WORDS:
                    yield fragment


def _is_well(call: ast.Call) -> bool:
    """Return True for the result of a check that says `ok`."""
    return isinstance(call.args[0], ast.Constant) and call.args[0].value == "ok"


def _pieces(value: ast.expr) -> Iterator[str]:
    """Yield the fixed pieces of a text: of an f-string, of a sum, or of both ways of a condition."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.JoinedStr):
        yield from (str(piece.value) for piece in value.values if isinstance(piece, ast.Constant))
    elif isinstance(value, ast.BinOp):
        yield from _pieces(value.left)
        yield from _pieces(value.right)
    elif isinstance(value, ast.IfExp):
        yield from _pieces(value.body)
        yield from _pieces(value.orelse)
