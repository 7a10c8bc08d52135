"""The house's rules on source text: who may import whom, no cycles, no long functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_FUNCTION_LINES = 45
MAY_IMPORT = {
    "config": set(),
    "buffer": {"config"},
    "gateways": {"config", "buffer"},
    "webhook": {"config", "buffer", "gateways"},
    "agents": {"config", "buffer", "gateways"},
    "worker": {"config", "buffer", "gateways", "agents"},
    "cli": {"config", "buffer", "gateways", "agents", "webhook", "worker"},
}
IMPORTED_BY = {
    "rq": ["worker.rq"],
    "uvicorn": ["webhook.connection", "webhook.fast_path", "cli.commands.serve"],
    "aiohttp": [
        "worker.agent",
        "worker.agent_answer",
        "worker.agent_connection",
        "worker.agent_errors",
        "worker.kind_agent",
        "worker.reply_client",
        "cli.demo.stub_gateway",
        "cli.echo",
        "cli.sample",
        "cli.serving",
    ],
    "httpx": ["worker.agent", "worker.agent_answer", "worker.agent_errors", "worker.reply_client"],
    "httpx_aiohttp": [],
    "markdown_it": ["gateways.markdown_syntax", "gateways.whatsapp_inline", "gateways.whatsapp_markdown"],
    "regex": ["gateways.split_text"],
    "opentelemetry": ["config.otel", "webhook.append_spans", "worker.flush_spans"],
}
"""Libraries, and the only modules and packages that may import them."""

NEVER_IMPORTS = {"buffer.transport": "buffer.store"}
"""Packages, and a module of the same package that they must not import."""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def read_sources() -> dict[str, str]:
    files = [path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py")]
    return {module_name(path): path.read_text(encoding="utf-8") for path in files}


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(tree):
        if is_type_checking(child):
            continue
        yield child
        yield from runtime_nodes(child)


def imported_names(source: str, type_only: bool = True) -> set[str]:
    """Every dotted name that the source imports, those for type checkers included unless told."""
    tree = ast.parse(source)
    names = set()
    for node in ast.walk(tree) if type_only else runtime_nodes(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}: write the package's name"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def wrong_imports(module: str, source: str) -> list[str]:
    own = module.partition(".")[0]
    tops = {name.partition(".")[0] for name in imported_names(source)}
    forbidden = MAY_IMPORT.keys() - MAY_IMPORT[own] - {own}
    return [f"{module} imports {top}" for top in sorted(tops & forbidden)]


def is_inside(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def wrong_libraries(module: str, source: str) -> list[str]:
    names = imported_names(source)
    return [
        f"{module} imports {library}"
        for library, places in IMPORTED_BY.items()
        if any(is_inside(name, library) for name in names) and not any(is_inside(module, place) for place in places)
    ]


def wrong_inside(module: str, source: str) -> list[str]:
    names = imported_names(source)
    return [
        f"{module} imports {forbidden}"
        for package, forbidden in NEVER_IMPORTS.items()
        if is_inside(module, package) and any(is_inside(name, forbidden) for name in names)
    ]


def known_module(name: str, modules: set[str]) -> str | None:
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name or None


def import_cycle(sources: dict[str, str]) -> list[str]:
    """The modules of one cycle, or nothing."""
    modules = set(sources)
    graph = {
        module: {known_module(name, modules - {module}) for name in imported_names(source, type_only=False)} - {None}
        for module, source in sources.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    has_docstring = ast.get_docstring(function) is not None
    statements = function.body[1:] if has_docstring else function.body
    return (statements[-1].end_lineno or 0) - statements[0].lineno + 1 if statements else 0


def long_functions(source: str) -> list[str]:
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return [f"{node.name}: {body_lines(node)}" for node in functions if body_lines(node) > MAX_FUNCTION_LINES]


def test_every_package_is_read():
    """The rules below look at real files of every package."""
    assert {name.partition(".")[0] for name in read_sources()} == set(MAY_IMPORT)


def test_imports_point_down():
    """config <- buffer <- gateways <- {webhook, agents <- worker} <- cli, and webhook and worker never meet."""
    assert [wrong for module, source in read_sources().items() for wrong in wrong_imports(module, source)] == []


def test_libraries_have_their_places():
    """Only worker.rq imports rq, only the connection, the fast path and the serve command import uvicorn, and so on."""
    assert [wrong for module, source in read_sources().items() for wrong in wrong_libraries(module, source)] == []


@pytest.mark.parametrize(
    ("library", "place"), [(name, place) for name, places in IMPORTED_BY.items() for place in places]
)
def test_every_place_is_needed(library, place):
    """A module that no longer imports the library leaves the table."""
    sources = [source for module, source in read_sources().items() if is_inside(module, place)]
    assert any(is_inside(name, library) for source in sources for name in imported_names(source))


def test_the_transport_does_not_import_the_store():
    """The store uses the transport, never the other way round."""
    assert [wrong for module, source in read_sources().items() for wrong in wrong_inside(module, source)] == []


def test_no_import_cycles():
    """No module reaches itself through its imports, those inside functions included."""
    assert import_cycle(read_sources()) == []


def test_functions_stay_small():
    """No function body is longer than 45 lines."""
    found = {module: long_functions(source) for module, source in read_sources().items()}
    assert {module: names for module, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("webhook.app", "from worker.agent import call", ["webhook.app imports worker"]),
        ("worker.flush", "import webhook", ["worker.flush imports webhook"]),
        ("buffer.store", "def f():\n    from gateways import base", ["buffer.store imports gateways"]),
        ("config.logs", "if TYPE_CHECKING:\n    import buffer.keys", ["config.logs imports buffer"]),
        (
            "gateways.base",
            "import cli.main, webhook.app",
            ["gateways.base imports cli", "gateways.base imports webhook"],
        ),
        ("worker.flush", "import json\nfrom buffer.store import Store\nimport worker.agent", []),
        ("cli.main", "from webhook.app import create_app\nfrom worker import flush", []),
    ],
)
def test_direction_rule_can_fail(module, source, wrong):
    """The direction rule names a forbidden import wherever it stands, and lets the allowed ones through."""
    assert wrong_imports(module, source) == wrong


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("worker.process", "import rq", ["worker.process imports rq"]),
        ("cli.commands.health", "def f():\n    from rq.worker import BaseWorker", ["cli.commands.health imports rq"]),
        ("worker.rqueue", "from rq import Queue", ["worker.rqueue imports rq"]),
        ("webhook.app", "if TYPE_CHECKING:\n    import uvicorn", ["webhook.app imports uvicorn"]),
        (
            "gateways.base",
            "import httpx, aiohttp.web",
            ["gateways.base imports aiohttp", "gateways.base imports httpx"],
        ),
        ("cli.echo", "from httpx_aiohttp import AiohttpTransport", ["cli.echo imports httpx_aiohttp"]),
        ("worker.rq.queue", "from rq import Queue\nfrom rq.job import Job", []),
        ("worker.process", "from worker.rq.worker import AsyncWorker", []),
        ("cli.commands.serve", "from uvicorn.config import Config", []),
        ("worker.agent", "import aiohttp\nimport httpx", []),
    ],
)
def test_library_rule_can_fail(module, source, wrong):
    """The library rule names an import outside its place, and lets the library's own places through."""
    assert wrong_libraries(module, source) == wrong


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        (
            "buffer.transport.clients",
            "from buffer.store import Store",
            ["buffer.transport.clients imports buffer.store"],
        ),
        ("buffer.transport", "from buffer import store", ["buffer.transport imports buffer.store"]),
        ("buffer.transport.clients", "from buffer.errors import StoreError\nimport buffer.stored_message", []),
        ("buffer.transport_names", "import buffer.store", []),
        ("buffer.store", "from buffer.transport.clients import connect", []),
    ],
)
def test_inside_rule_can_fail(module, source, wrong):
    """The transport rule names the import in either form, and lets other modules through."""
    assert wrong_inside(module, source) == wrong


@pytest.mark.parametrize(
    ("sources", "cyclic"),
    [
        ({"buffer.a": "from buffer import b", "buffer.b": "import buffer.a"}, True),
        ({"buffer.a": "def f():\n    from buffer.b import x", "buffer.b": "from buffer.a import y"}, True),
        ({"buffer": "from buffer.a import x", "buffer.a": "from buffer import y"}, True),
        ({"buffer.a": "if TYPE_CHECKING:\n    from buffer.b import x", "buffer.b": "import buffer.a"}, False),
        ({"buffer": "", "buffer.a": "from buffer import b", "buffer.b": "import json"}, False),
    ],
)
def test_cycle_rule_can_fail(sources, cyclic):
    """The cycle rule finds a cycle also through a function's import, and forgives type-only imports."""
    assert bool(import_cycle(sources)) is cyclic


def test_relative_imports_are_refused():
    """A relative import cannot slip past the rules."""
    with pytest.raises(AssertionError, match="relative import in line 1"):
        imported_names("from . import keys")


@pytest.mark.parametrize(("lines", "found"), [(45, []), (46, ["f: 46"])])
def test_size_rule_can_fail(lines, found):
    """A body of 46 lines is too long, its docstring not counted."""
    source = 'async def f():\n    """One.\n\n    Two.\n    """\n' + "    pass\n" * lines
    assert long_functions(source) == found
