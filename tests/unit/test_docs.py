"""What the pages and the code say about each other is there: invariants, tests, files and links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.property.mutants import MUTANTS, PEOPLE_MUTANTS
from tests.property.reply_mutants import REPLY_MUTANTS
from tests.property.restart_mutants import RESTART_MUTANTS, RESTART_PEOPLE_MUTANTS, RESTART_REPLY_MUTANTS

ROOT = Path(__file__).parents[2]
CODE_FOLDERS = ("agents", "buffer", "cli", "config", "gateways", "webhook", "worker", "tests", "benchmarks")
CODE = [
    path
    for folder in CODE_FOLDERS
    for pattern in ("*.py", "*.lua")
    for path in sorted((ROOT / folder).rglob(pattern))
    if path != Path(__file__)
]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
INVARIANTS = (ROOT / "docs" / "invariants.md").read_text(encoding="utf-8")
NUMBERED = set(re.findall(r'<a id="(\d+)"></a>\n## \1\. ', INVARIANTS))
RESTARTS = (*RESTART_MUTANTS, *RESTART_REPLY_MUTANTS, *RESTART_PEOPLE_MUTANTS)
BUGS = {mutant.bug for mutant in (*MUTANTS, *PEOPLE_MUTANTS, *REPLY_MUTANTS, *RESTARTS)}
OUR_PATH = re.compile(rf"(?:{'|'.join(CODE_FOLDERS)}|docs|deploy|\.ci|\.github)/[\w./-]*")


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def quoted(text: str) -> list[str]:
    """What stands between backticks, code blocks left out."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def anchors_of(text: str) -> set[str]:
    """The places of a page that a link can name: its headings, as GitHub spells them, and what has an id."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


def unknown_citations(text: str) -> list[str]:
    """The invariants and other places of docs/invariants.md that a text cites and that are not there."""
    numbers = set(re.findall(r"\binvariant (\d+)", text, re.IGNORECASE)) - NUMBERED
    places = set(re.findall(r"invariants\.md#([\w-]+)", text)) - anchors_of(INVARIANTS)
    return sorted(numbers | places)


def missing_tests(text: str) -> list[str]:
    """The tests that a page names and that are not there."""
    named = re.findall(r"`(\w+/\w+\.py)::(\w+)`", text)
    return [f"{file}::{test}" for file, test in named if not is_defined(file, test)]


def is_defined(file: str, test: str) -> bool:
    path = ROOT / "tests" / file
    return path.is_file() and re.search(rf"^(async )?def {test}\(", read(path), re.MULTILINE) is not None


def missing_bugs(text: str) -> list[str]:
    """The seeded bugs that a page names and that nobody seeds."""
    lists = re.findall(r"^- Seeded bugs: (.+?)\.$", text, re.MULTILINE | re.DOTALL)
    return [bug for line in lists for bug in re.findall(r"`([^`]+)`", line) if bug not in BUGS]


def missing_paths(text: str) -> list[str]:
    """The files and folders of ours that a page names and that are not there."""
    paths = {path for path in quoted(text) if OUR_PATH.fullmatch(path)}
    scripts = {f"buffer/lua/{name}" for name in quoted(text) if re.fullmatch(r"\w+\.lua", name)}
    return sorted(path for path in paths | scripts if not (ROOT / path).exists())


def broken_links(text: str, folder: Path) -> list[str]:
    """The relative links of a page, or of a text that lies in a folder, that lead nowhere."""
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:", link)]
    return [link for link in links if not leads_somewhere(link, text, folder)]


def leads_somewhere(link: str, text: str, folder: Path) -> bool:
    file, _, anchor = link.partition("#")
    path = folder / file
    if not path.exists():
        return False
    return not anchor or anchor in anchors_of(read(path) if file else text)


def papers_cited(text: str) -> list[str]:
    """References to a design that is no file of this repository."""
    return re.findall(r"design\s§\d*|[(]design\b|design\ssection|(?:of|from)\sthe\sdesign\b", text)


def test_invariants_are_numbered():
    """docs/invariants.md has the numbers from 1 on, each once, without a gap."""
    assert sorted(map(int, NUMBERED)) == list(range(1, len(NUMBERED) + 1))
    assert len(NUMBERED) == len(re.findall(r"^## \d+\. ", INVARIANTS, re.MULTILINE)) > 10


def test_every_invariant_names_its_tests():
    """Each section of docs/invariants.md says where it is enforced and names a test."""
    sections = re.split(r"^<a id=", INVARIANTS, flags=re.MULTILINE)[1:]
    assert [part[:40] for part in sections if "- Enforced in: `" not in part or "::test_" not in part] == []


def test_cited_invariants_exist():
    """Every invariant that code, tests or pages cite is in docs/invariants.md."""
    found = {str(path.relative_to(ROOT)): unknown_citations(read(path)) for path in (*CODE, *PAGES)}
    assert {name: unknown for name, unknown in found.items() if unknown} == {}


def test_named_tests_exist():
    """A test that is renamed or removed takes its name in docs/invariants.md along."""
    assert len(re.findall(r"::test_", INVARIANTS)) > 40
    assert missing_tests(INVARIANTS) == []


def test_named_bugs_are_seeded():
    """Every seeded bug that docs/invariants.md names is one that the walks must notice."""
    assert INVARIANTS.count("- Seeded bugs: ") > 8
    assert missing_bugs(INVARIANTS) == []


@pytest.mark.parametrize("page", ["docs/glossary.md", "docs/invariants.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_named_files_exist(page: str):
    """Files, folders and scripts that these pages name between backticks are there."""
    assert missing_paths(read(ROOT / page)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path):
    """Every relative link of a page leads to a file that is there, and to a place in it."""
    assert broken_links(read(page), page.parent) == []


def test_code_cites_files_of_this_repository():
    """No comment or docstring cites a design that a reader of this repository cannot open."""
    found = {str(path.relative_to(ROOT)): papers_cited(read(path)) for path in CODE}
    assert {name: papers for name, papers in found.items() if papers} == {}


def test_words_stand_once():
    """The glossary explains each word once, in a sentence."""
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$", read(ROOT / "docs/glossary.md"), re.MULTILINE)
    words = [(word, meaning) for word, meaning in rows if word != "word"]
    assert len({word for word, _ in words}) == len(words) > 30
    assert [word for word, meaning in words if not re.fullmatch(r"[A-Z4].+\.", meaning)] == []


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("(invariant 99), and Invariant 1", ["99"]),
        ("docs/invariants.md#8 and docs/invariants.md#nothing", ["nothing"]),
        ("docs/invariants.md#retry, docs/invariants.md#body, invariants of anything", []),
    ],
)
def test_unknown_citation_is_noticed(text: str, unknown: list[str]):
    """A number or place that docs/invariants.md does not have is named."""
    assert unknown_citations(text) == unknown


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("[a](docs/invariants.md#8) [b](docs/invariants.md#8-duplicates-are-no-news) [c](https://example.com/x)", []),
        ("[a](docs/no-such-page.md) [b](docs/invariants.md#99)", ["docs/no-such-page.md", "docs/invariants.md#99"]),
        ("## Here is one\n[a](#here-is-one) [b](#elsewhere)", ["#elsewhere"]),
        ("![plot](docs/no-such-plot.png)", ["docs/no-such-plot.png"]),
    ],
)
def test_broken_link_is_noticed(text: str, broken: list[str]):
    """A link to a missing file, heading or id is named; an address of another site is left alone."""
    assert broken_links(text, ROOT) == broken


def test_missing_names_are_noticed():
    """A test, a seeded bug and a file that are not there are named."""
    assert missing_tests("`unit/test_docs.py::test_nothing_of_the_kind`") == [
        "unit/test_docs.py::test_nothing_of_the_kind"
    ]
    assert missing_tests("`unit/test_no_such_file.py::test_a`") == ["unit/test_no_such_file.py::test_a"]
    assert missing_bugs("- Seeded bugs: `dedupe removed`,\n  `no such bug`.\n") == ["no such bug"]
    assert missing_paths("`buffer/keys.py` `worker/no_such.py` `append.lua` `nothing.lua` `a/b`") == [
        "buffer/lua/nothing.lua",
        "worker/no_such.py",
    ]


@pytest.mark.parametrize(
    ("text", "papers"),
    [
        ("as it stands in design §4", ["design §4"]),
        ("it is dead (design), " + "from the " + "design", ["(design", "from the " + "design"]),
        ("the design in which one process holds everything", []),
    ],
)
def test_cited_paper_is_noticed(text: str, papers: list[str]):
    """A paragraph of a paper is named; the word alone is no reference."""
    assert papers_cited(text) == papers
