"""Tables: plain text in a file, colours and lines on a terminal, and nothing that steers the terminal."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout

import pytest

from cli.json_output import print_json
from cli.tables import Cell, Column, Row, console_of, is_terminal, plain, print_pairs, print_table, table_of

COLUMNS = (Column("name"), Column("number", is_number=True), Column("note", optional=True))
ROWS: list[Row] = [("ana", Cell("7", "bold red"), "x" * 20), ("beto", "12", "y")]


class Terminal(io.StringIO):
    """A stream that calls itself a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal as stdout."""
    for name in ("NO_COLOR", "COLORTERM", "FORCE_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    return Terminal()


def test_plain_text_where_no_terminal_is(capsys: pytest.CaptureFixture[str]):
    """Columns are aligned by spaces, and no code stands among them."""
    print_table(COLUMNS, ROWS)
    print_pairs([("dead", Cell("no dead letters", "red"))])
    assert capsys.readouterr().out.splitlines() == [
        "name  number  note",
        f"ana   7       {'x' * 20}",
        "beto  12      y",
        "dead  no dead letters",
    ]


def test_colours_on_a_terminal(terminal: Terminal):
    """A terminal gets the styles of the cells."""
    with redirect_stdout(terminal):
        print_table(COLUMNS, ROWS)
    assert "\x1b[1;31m" in terminal.getvalue()
    assert "─" in terminal.getvalue()


@pytest.mark.parametrize(("width", "is_whole", "has_note"), [(90, True, True), (76, True, False), (50, False, False)])
def test_ids_stay_whole(width: int, is_whole: bool, has_note: bool):
    """An id is in one line, to be copied, as soon as the columns that can be left out make room for it."""
    heads = (Column("id", wraps=True, is_whole=True), Column("note", optional=True), Column("error", wraps=True))
    console = console_of(io.StringIO())
    console.width = width
    with console.capture() as capture:
        console.print(table_of(heads, [("i" * 46, "noted", "word " * 20)], width))
    assert ("i" * 46 in capture.get(), "noted" in capture.get()) == (is_whole, has_note)


def test_no_color(terminal: Terminal, monkeypatch: pytest.MonkeyPatch):
    """With NO_COLOR a terminal gets the lines of the table and no codes, whatever value it has."""
    monkeypatch.setenv("NO_COLOR", "")
    with redirect_stdout(terminal):
        print_table(COLUMNS, ROWS)
        print_pairs([("dead", Cell("no dead letters", "red"))])
    assert "─" in terminal.getvalue()
    assert "\x1b" not in terminal.getvalue()


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_can_do_nothing_gets_plain_text(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, term: str):
    """TERM=dumb and no TERM count as no terminal."""
    monkeypatch.setenv("TERM", term)
    assert not is_terminal(terminal)
    with redirect_stdout(terminal):
        print_table(COLUMNS, ROWS)
    assert terminal.getvalue().startswith("name  number  note")


def drawn(width: int) -> list[str]:
    stream = io.StringIO()
    console = console_of(stream)
    console.width = width
    console.print(table_of(COLUMNS, ROWS, width))
    return stream.getvalue().splitlines()


def test_a_narrow_terminal_gets_no_optional_columns():
    """A row stays one line: columns that are optional are left out where there is no room for them."""
    assert "note" in drawn(60)[0]
    narrow = drawn(20)
    assert "note" not in narrow[0]
    assert len(narrow) == len(ROWS) + 2


@pytest.mark.parametrize("steering", ["\x1b[2J", "\x1b]0;title\x07", "\r", "\x9b31m", "\n"])
def test_text_from_outside_steers_no_terminal(terminal: Terminal, steering: str):
    """Control characters of a name or an error are shown as `?`."""
    assert steering not in plain(f"a{steering}b")
    with redirect_stdout(terminal):
        print_table((Column("name"),), [(f"a{steering}b",)])
        print_pairs([("name", f"a{steering}b")])
    assert "a?" in terminal.getvalue()
    assert f"a{steering}" not in terminal.getvalue()


@pytest.mark.parametrize("steering", ["\x1b[2J", "\x9b31m", "\x7f", "\x85"])
def test_json_steers_no_terminal(capsys: pytest.CaptureFixture[str], steering: str):
    """Control characters are escaped, and read back as they were."""
    print_json({"name": f"São {steering}"})
    said = capsys.readouterr().out.rstrip("\n")
    assert said.isprintable()
    assert "São" in said
    assert json.loads(said) == {"name": f"São {steering}"}


def test_text_is_no_markup(terminal: Terminal):
    """What looks like a style or an emoji of rich is text."""
    with redirect_stdout(terminal):
        print_table((Column("name"),), [("[red]ana[/red] :smile:",)])
    assert "[red]ana[/red] :smile:" in terminal.getvalue()
