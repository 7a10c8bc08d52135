"""The guides: both languages say the same, what is to be pasted is right, and the table of problems lacks nothing."""

from __future__ import annotations

import hashlib
import hmac
import re
import shlex
from pathlib import Path

import pytest

from agents.results import AgentReply
from buffer.models import Message
from cli.banner import open_gateways, replies_text
from cli.main import build_parser
from cli.redis_errors import PROBABLE_CAUSES
from cli.trial_call import TEXTS, outcome_of
from config.settings import load_settings
from gateways.base import Headers, Request
from gateways.registry import GATEWAYS
from gateways.sending import Part
from tests.guide_pages import BLOCK, GUIDES, SECRET, SETTINGS, bodies_of, env_of, read_guide
from tests.reported_failures import long_texts, reasons, reported, sentences

ROOT = Path(__file__).parents[2]
PORTUGUESE = ".pt-BR.md"
PAIRS = [
    (ROOT / "README.md", ROOT / "README.pt-BR.md"),
    *((path, path.with_name(path.stem + PORTUGUESE)) for path in GUIDES.glob("*.md") if PORTUGUESE not in path.name),
]
GATEWAY_OF = {
    "evolution-n8n": "evolution",
    "meta-dify": "meta",
    "waha-openai": "waha",
    "chatwoot": "chatwoot",
    "telegram": "telegram",
}
SHOWS_CHECK = sorted(GATEWAY_OF)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def headings(text: str) -> list[int]:
    """The levels of the headings in order."""
    return [len(marks) for marks in re.findall(r"^(#+) ", BLOCK.sub("", text), re.MULTILINE)]


def table_sizes(text: str) -> list[int]:
    """The numbers of lines of the tables in order."""
    return [block.count("\n") for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)]


def named_settings(text: str) -> set[str]:
    return set(re.findall(r"[A-Z][A-Z0-9_]+", text)) & SETTINGS


def quoted(text: str) -> list[str]:
    """What stands between backticks in the first column of a table of problems, in order."""
    cells = re.findall(r"^\| (.+?) \| .+? \| .+? \|$", text, re.MULTILINE)
    return [found for cell in cells for found in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize(("english", "portuguese"), PAIRS, ids=lambda path: path.name)
def test_both_languages_say_the_same(english: Path, portuguese: Path):
    """The Portuguese page has the same headings, the same blocks to paste, the same tables and the same settings."""
    ours, theirs = read(english), read(portuguese)
    assert headings(theirs) == headings(ours)
    assert BLOCK.findall(theirs) == BLOCK.findall(ours)
    assert table_sizes(theirs) == table_sizes(ours)
    assert named_settings(theirs) == named_settings(ours)


def test_pages_have_twins():
    """Each guide is there in both languages, and the list of guides names it."""
    for path in GUIDES.glob("*.md"):
        twin = path.name.replace(PORTUGUESE, ".md") if PORTUGUESE in path.name else path.stem + PORTUGUESE
        assert (GUIDES / twin).is_file()
        if not path.name.startswith("README"):
            assert f"]({path.name})" in read(GUIDES / f"README{PORTUGUESE if PORTUGUESE in path.name else '.md'}")


@pytest.mark.parametrize("name", SHOWS_CHECK)
def test_env_of_a_guide_works(name: str):
    """The lines of .env are settings with possible values, open the gateway and send replies, as the guide shows."""
    values = env_of(name)
    assert values.keys() <= SETTINGS
    settings = load_settings(None, **{key.lower(): value for key, value in values.items()})
    gateway = GATEWAY_OF[name]
    assert open_gateways(settings) == [gateway]
    text = read_guide(name)
    assert f"  ok  gateways  {gateway} open\n" in text
    assert f"  ok  replies   {gateway}: {replies_text(settings, gateway)}\n" in text


@pytest.mark.parametrize("name", SHOWS_CHECK)
def test_posts_of_a_guide_are_messages(name: str):
    """Each body that the reader posts by hand is one message of a person."""
    gateway = GATEWAYS[GATEWAY_OF[name]]
    found = bodies_of(name)
    assert found
    for body in found:
        (event,) = gateway.parse(Request(Headers({}), {}, "my-bot", body.encode()))
        assert isinstance(event, Message)
        assert event.text in ("oi", "tudo bem?")


@pytest.mark.parametrize(
    ("name", "digest", "header"), [("waha-openai", "sha512", ""), ("meta-dify", "sha256", "sha256=")]
)
def test_signature_of_a_guide_is_right(name: str, digest: str, header: str):
    """The reader signs with the digest, and sends it in the form, that the gateway has."""
    text = read_guide(name)
    assert f"openssl dgst -{digest} -hmac" in text
    assert f': {header}$signature"' in text
    assert len(hmac.new(SECRET.encode(), bodies_of(name)[0].encode(), getattr(hashlib, digest)).digest()) * 8 == int(
        digest[3:]
    )


@pytest.mark.parametrize(("name", "seconds"), [("evolution-n8n", 1.9), ("waha-openai", 1.1)])
def test_guide_shows_what_check_prints(name: str, seconds: float):
    """What a guide shows of `check --agent` is what the command prints."""
    text, settings = read_guide(name), load_settings(None)
    reply = AgentReply((Part(text="Hello! How can I help you today?"),))
    (block,) = [block for block in BLOCK.findall(text) if block.startswith("Agent of default: ")]
    assert [line.strip() for line in block.splitlines()[2:4]] == list(TEXTS)
    assert block.splitlines()[4:] == outcome_of(reply, seconds, settings).lines


def test_lines_of_the_log_are_those_of_the_program():
    """The lines that the guides have the reader look for are written by the webhook and the worker."""
    source = "\n".join(read(path) for folder in ("webhook", "worker") for path in (ROOT / folder).rglob("*.py"))
    found = {line for name in SHOWS_CHECK for line in re.findall(r"`([📥🔄💬🙋✅][^`0-9]*[a-z])", read_guide(name))}
    assert len(found) >= 5
    assert [line for line in found if line.strip() not in source] == []


@pytest.mark.parametrize("page", sorted(GUIDES.glob("*.md")), ids=lambda path: path.name)
def test_commands_of_a_guide_exist(page: Path):
    """Each debouncer command in a block is one that the command line understands."""
    for line in "\n".join(BLOCK.findall(read(page))).splitlines():
        if re.match(r"(\.venv/bin/)?debouncer ", line):
            build_parser().parse_args(shlex.split(line, comments=True)[1:])


@pytest.mark.parametrize("page", ["problems.md", "problems.pt-BR.md"])
def test_table_of_problems_is_complete(page: str):
    """Everything that the source reports when something fails stands in the table."""
    text = read(GUIDES / page).replace("`", "")
    found = reported() | reasons() | {meaning: "cli/redis_errors.py" for _, meaning in PROBABLE_CAUSES}
    assert len(found) > 250
    missing = {sentence: file for sentence, file in found.items() if sentence.replace("`", "") not in text}
    assert missing == {}


def test_tables_of_problems_quote_the_same():
    """Both tables have the same messages in the same rows."""
    assert quoted(read(GUIDES / "problems.pt-BR.md")) == quoted(read(GUIDES / "problems.md"))


def test_tables_of_problems_have_three_columns():
    """No message breaks its row."""
    rows = [line for line in read(GUIDES / "problems.md").splitlines() if line.startswith("|")]
    assert [row for row in rows if row.count("|") != 4] == []


def test_new_failure_is_noticed():
    """A line, an error, a hint and a result of a check are found; what says that all is well is not."""
    source = '''
log.warning(f"the {moon} is full of cheese", why="x")
doubt("nobody answers on " + planet)
CheckResult("ok", "moon", "all is quiet there")
CheckResult("warning", "moon", f"{name} is not quiet")
AgentReply(not_understood="a song without words")
def hint(status):
    """Return where to look on the moon."""
    return "it is made of cheese"
'''
    found = ["is full of cheese", "nobody answers on", "is not quiet", "a song without words"]
    assert sorted(sentences(source, {"hint"})) == sorted([*found, "it is made of cheese"])
    assert sorted(sentences(source)) == sorted(found)


def test_new_reason_is_noticed():
    """What a gateway's response means is found; docstrings, patterns and what is compared are not."""
    source = '''
"""Reads what the moon has said of a message."""
PATTERN = re.compile("the moon is full|the moon is new")
if "the moon is not there" in body:
    return Refused("the moon does not take this message")
REASONS = {1: f"the moon {name} is away until tomorrow night"}
'''
    assert sorted(long_texts(source)) == ["is away until tomorrow night", "the moon does not take this message"]
