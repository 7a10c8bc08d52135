"""docs/scenarios.md is true: it has every scenario, and every test that it names exists."""

from __future__ import annotations

import re

from tests.integration.processes import ROOT

SCENARIOS = range(1, 69)
TEXT = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(\w+/\w+\.py)::(\w+)`", TEXT)))
LINES = {int(number): line for number, line in re.findall(r"^\| (\d+) \|(.+)$", TEXT, re.MULTILINE)}


def test_every_scenario_has_a_line() -> None:
    """Numbers 1 to 68 are there, each once."""
    assert sorted(LINES) == list(SCENARIOS)
    assert len(re.findall(r"^\| \d+ \|", TEXT, re.MULTILINE)) == len(LINES)


def test_every_line_names_a_test() -> None:
    """A scenario is covered by a test; whatever else the line says comes on top."""
    assert [number for number, line in LINES.items() if "::test_" not in line] == []


def test_every_named_test_exists() -> None:
    """A test that is renamed or removed takes its line here along."""
    assert len(NAMED) > 50
    assert [f"{file}::{test}" for file, test in NAMED if not exists(file, test)] == []


def test_a_missing_test_is_noticed() -> None:
    """The search does not find what is not there."""
    assert not exists("integration/test_scenarios.py", "test_nothing_of_the_kind")


def exists(file: str, test: str) -> bool:
    """Whether a test file defines a test."""
    source = (ROOT / "tests" / file).read_text(encoding="utf-8")
    return re.search(rf"^(async )?def {test}\(", source, re.MULTILINE) is not None
