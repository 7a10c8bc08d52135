"""The pure parts of the benchmarks: figures, table, page, the load's requests and responses, the agent's record."""

from __future__ import annotations

import json
import math
import re

import pytest

from benchmarks.__main__ import PARTS
from benchmarks.figures import Meaningless, Missing, Spread, attempt, percentile
from benchmarks.page import HAND_WRITTEN, PAGE, Run, page, write_page
from benchmarks.peers import pinned_versions
from benchmarks.programs.agent import CallRecord
from benchmarks.programs.load import Responses, template
from benchmarks.table import Row, as_markdown

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


def cells(row: Row) -> list[str]:
    """The cells of a row in the table."""
    return [cell.strip() for cell in as_markdown([row]).splitlines()[2].strip("|").split("|")]


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1), (0.001, 1)])
def test_percentile(share, value):
    """The smallest value that the share of all values do not exceed."""
    assert percentile(list(range(100, 0, -1)), share) == value


def test_percentile_of_nothing_means_nothing():
    """No values, no figure."""
    with pytest.raises(Meaningless):
        percentile([], 0.5)


def test_spread_counts_what_never_came():
    """What never came is later than everything else, and its share is told."""
    spread = Spread.of([3.0, -1.0, math.inf, 2.0])
    assert (spread.p50, spread.p99, spread.most, spread.least, spread.never) == (2.0, math.inf, math.inf, -1.0, 0.25)


def test_attempt_keeps_the_others_alive():
    """A measurement that fails leaves its reason in its place."""

    def broken() -> float:
        raise Meaningless("7 webhooks were refused")

    assert attempt(lambda: 1.5) == 1.5
    assert attempt(broken) == "7 webhooks were refused"
    assert isinstance(attempt(broken), Missing)


def test_attempt_names_an_unforeseen_error(capsys):
    """A bug costs one figure, names itself in the table and shows where it was."""
    assert attempt(lambda: 1 / 0) == "ZeroDivisionError: division by zero"
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (Row("a", 1234.5, "b", 617.25), ["a", "1,234", "b", "617", "2.00"]),
        (Row("a", 2.0, "b", 30.0, less=True), ["a", "2.00", "b", "30.0", "15.00"]),
        (Row("a", 2.0, "b", 30_000.0, less=True, at_least=True), ["a", "2.00", "b", "> 30,000", "> 15,000"]),
        (Row("a", 2.0), ["a", "2.00", "", "", ""]),
        (Row("a", 7.0, "b", 0.0, less=True), ["a", "7.00", "b", "0.00", ""]),
        (Row("a", 7.0, "b", -3.0, less=True), ["a", "7.00", "b", "-3.00", ""]),
        (Row("a", Missing("why"), "b", 1.0), ["a", "not measured [1]", "b", "1.00", ""]),
    ],
)
def test_row(row, expected):
    """Figures are short, the ratio is above 1 when ours is better, and absent where it would mean nothing."""
    assert cells(row) == expected


def test_reasons_stand_below_the_table():
    """Each reason once, under its number."""
    rows = [
        Row("a", 1.0, "b", Missing("no node")),
        Row("c", Missing("refused")),
        Row("d", 1.0, "b", Missing("no node")),
    ]
    table = as_markdown(rows)
    assert table.count("not measured [1]") == 2
    assert re.findall(r"^\[(\d)\] (.+?) *$", table, re.MULTILINE) == [("1", "no node"), ("2", "refused")]


def test_load_sends_whole_requests():
    """The length is right whatever the numbers, and the body is an Evolution message of that person."""
    for person, number in ((0, 0), (99_999_999, 9_999_999_999_999_999)):
        head, _, body = (template() % (person, number)).partition(b"\r\n\r\n")
        assert int(re.search(rb"content-length: (\d+)", head)[1]) == len(body)
        key = json.loads(body)["data"]["key"]
        assert key == {"remoteJid": f"55119{person:08d}@s.whatsapp.net", "fromMe": False, "id": f"3EB0{number:016d}"}


def test_load_reads_answers_in_pieces():
    """An answer counts when all of it has come, on each connection for itself."""
    responses = Responses()
    assert not responses.complete(1, OK[:20])
    assert not responses.complete(2, OK[:-1])
    assert responses.complete(1, OK[20:])
    assert responses.complete(2, OK[-1:])
    assert responses.complete(1, OK)
    assert responses.complete(1, OK)
    assert responses.refused == 0


def test_load_counts_refusals():
    """Every answer that is not 200 counts, repeated ones too."""
    responses = Responses()
    for _ in range(2):
        assert responses.complete(1, OK.replace(b"200 OK", b"503 No"))
    assert responses.refused == 2


def test_agent_knows_lateness_and_repetitions():
    """Lateness against the body's deadline; a second call of one flush is a call but no other flush."""
    record = CallRecord()
    body = b'{"flush_id":"f1","text":"\\"closed_ms\\":1","closed_ms":1700000000000}'
    record.add(body, 1_700_000_000.004)
    record.add(body, 1_700_000_000.5)
    record.add(b"{}", 1_700_000_001.0)
    report = json.loads(record.as_json())
    assert (report["calls"], report["distinct"], report["peak"]) == (3, 1, 3)
    assert report["lateness_ms"] == pytest.approx([4, 500], abs=0.01)
    assert report["last_s"] - report["first_s"] == pytest.approx(0.996)


RUN = Run("2026-01-02", "a machine", {"bullmq": "1.2.3"}, 3.0, 4.0)


def test_page_keeps_what_people_wrote(tmp_path):
    """A new table replaces the generated part and leaves the hand-written section as it was, braces included."""
    section = HAND_WRITTEN + "\nA figure, and `{its: conditions}`.\n"
    path = tmp_path / "benchmarks.md"
    path.write_text("an old table\n" + section, encoding="utf-8")
    write_page("| a new table |", RUN, path)
    assert path.read_text(encoding="utf-8") == page("| a new table |", RUN) + section


def test_page_without_a_hand_written_section(tmp_path):
    """Nothing is added to a page without that section."""
    path = tmp_path / "benchmarks.md"
    path.write_text("an old table\n", encoding="utf-8")
    write_page("| a new table |", RUN, path)
    assert path.read_text(encoding="utf-8") == page("| a new table |", RUN)


def test_page_has_todays_method():
    """docs/benchmarks.md describes the method with the text and numbers of the code, and has its written section."""
    text = PAGE.read_text(encoding="utf-8")
    assert page("", RUN).partition("## Method")[2] in text
    assert text.count(HAND_WRITTEN) == 1


def test_peers_are_pinned():
    """Each peer has one exact version."""
    assert {"bullmq", "fastify", "ioredis", "undici"} == pinned_versions().keys()
    assert [version for version in pinned_versions().values() if not re.fullmatch(r"\d+\.\d+\.\d+", version)] == []


def test_parts():
    """The names that `make bench ARGS=` understands."""
    names = ["webhook", "durability", "gateways", "flush", "in-flight", "replies", "growth", "dispatchers", "idle"]
    assert list(PARTS) == [*names, "dashboard"]
