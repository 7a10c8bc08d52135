"""`debouncer top` on a real terminal: it lives, ends by its keys and signals, and leaves the terminal as it was."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buffer.models import Conversation
from tests.integration.deployment import Deployment
from tests.integration.polling import until
from tests.integration.pseudo_terminal import COLOUR, ENTER, HIDE_CURSOR, LEAVE, SHOW_CURSOR, PseudoTerminal
from tests.messages import message

ENDS_WITHIN_S = 30.0
ANA, BETO = "5511900000001", "5511900000002"

Top = Callable[..., PseudoTerminal]


@pytest.fixture
def deploy(start_deployment: Callable[..., Deployment]) -> Deployment:
    """A deployment without processes, whose windows end in ten minutes."""
    return start_deployment(message_buffer_timeout=600, message_buffer_max_wait=900, send_replies="off")


@pytest.fixture
def top(deploy: Deployment, tmp_path: Path) -> Iterator[Top]:
    """Start `top` on a terminal."""
    opened: list[PseudoTerminal] = []

    def start(*arguments: str, **settings: object) -> PseudoTerminal:
        terminal = PseudoTerminal(["top", *arguments], {**deploy.settings, **settings}, tmp_path)
        opened.append(terminal)
        return terminal

    yield start
    for terminal in opened:
        terminal.close()


def write(deploy: Deployment, peer: str) -> None:
    deploy.ask(lambda store: store.append([message("m1", Conversation("evolution", "loja", peer))]))


def is_left_as_it_was(terminal: PseudoTerminal) -> bool:
    """Return True if the screen is closed, the cursor is back, and keys are taken as before."""
    last = [terminal.written.rfind(code) for code in (ENTER, LEAVE, HIDE_CURSOR, SHOW_CURSOR)]
    return last[1] > last[0] > -1 and last[3] > last[2] > -1 and terminal.settings == terminal.before


def test_it_lives(deploy: Deployment, top: Top):
    """It shows what waits with countdowns, what ends meanwhile, and what is wrong; numbers only with --show."""
    write(deploy, ANA)
    terminal = top()
    terminal.wait_for("evolution/loja 5511*******01")
    terminal.wait_for("no worker is alive")
    terminal.wait_for("pending 1 ")
    write(deploy, BETO)
    terminal.wait_for("5511*******02")
    deploy.ask(lambda store: store.discard(Conversation("evolution", "loja", BETO)))
    terminal.wait_for("discarded (operator)")
    countdowns = {
        line.split(" in ")[1][:9] for one in terminal.screens for line in one.splitlines() if " in 9 min" in line
    }
    assert countdowns
    assert ANA not in terminal.text
    shown = top("--show")
    shown.wait_for(f"evolution/loja {ANA}")


def test_no_flicker(deploy: Deployment, top: Top):
    """A drawing covers the last one, without clearing the screen in between."""
    write(deploy, ANA)
    terminal = top()
    until("it was drawn a few times", lambda: len(terminal.screens) > 3)
    drawn = terminal.written.partition(ENTER)[2]
    assert b"\x1b[2J" not in drawn.partition(b"\x1b[H")[2].partition(b"\x1b[H")[2]
    assert {len(one.splitlines()) for one in terminal.screens} == {30}


def test_no_color(top: Top):
    """With NO_COLOR it moves the cursor and colours nothing."""
    terminal = top(no_color="1")
    terminal.wait_for("pending 0 ")
    assert ENTER in terminal.written
    assert not COLOUR.search(terminal.written)


@pytest.mark.parametrize(
    ("how", "code"),
    [(b"q", 0), (b"Q", 0), (b"\x03", 0), (b"\x04", 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=["q", "Q", "Ctrl-C", "Ctrl-D", "SIGTERM", "SIGHUP"],
)
def test_it_leaves_the_terminal_as_it_was(top: Top, how: bytes | signal.Signals, code: int):
    """Keys and signals end it, and the lines before it are back."""
    terminal = top()
    terminal.wait_for("pending 0 ")
    assert terminal.settings != terminal.before
    if isinstance(how, bytes):
        terminal.press(how)
    else:
        terminal.signal(how)
    assert terminal.wait(ENDS_WITHIN_S) == code
    assert is_left_as_it_was(terminal)
    assert "Traceback" not in terminal.text


def test_other_keys_and_a_new_size(top: Top):
    """Other keys do nothing, Ctrl-Z too, and the screen follows the size of the terminal."""
    terminal = top()
    terminal.wait_for("pending 0 ")
    terminal.press(b"x\x1a\r")
    terminal.resize(60, 12)
    until("it is drawn anew", lambda: len(terminal.screens[-1].splitlines()) == 12)
    assert all(len(line) <= 60 for line in terminal.screens[-1].splitlines())
    terminal.press(b"q")
    assert terminal.wait(ENDS_WITHIN_S) == 0
    assert is_left_as_it_was(terminal)


def test_redis_goes_away_and_comes_back(deploy: Deployment, top: Top):
    """Meanwhile the last picture stays, with its age and the reason; then it goes on."""
    terminal = top()
    terminal.wait_for("pending 0 ")
    deploy.server.kill()
    terminal.wait_for("Redis cannot be read")
    deploy.server.restart()
    until("it reads again", lambda: "Redis cannot be read" not in terminal.screens[-1])
    write(deploy, ANA)
    terminal.wait_for("5511*******01")


def test_without_a_terminal(deploy: Deployment):
    """In a pipe it refuses at once, and names what scripts can use."""
    process = deploy.run([sys.executable, "-m", "cli", "top"])
    assert (process.wait(ENDS_WITHIN_S), "needs a terminal" in process.log) == (2, True)
    assert "status --json" in process.log


def test_without_redis(top: Top):
    """A Redis that is away from the start is one sentence, and no screen."""
    terminal = top(redis_url="redis://127.0.0.1:1/0")
    assert terminal.wait(ENDS_WITHIN_S) == 1
    assert "connection refused" in terminal.text
    assert ENTER not in terminal.written
