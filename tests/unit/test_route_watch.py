"""The watch over the routes file: which changes are put in force, and what is logged about a file that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from config.route_watch import RouteWatch
from config.routes import load_routes
from config.settings import load_settings

GOOD = "[generic.a]\nwindow = 3\n"
OTHER = "[generic.a]\nwindow = 4.5\n[generic.b]\n"
WRONG = "[generic.a]\nwindow = 0\n"


class Watched:
    """A routes file with its watch."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.write(GOOD)
        self.routes = load_routes(load_settings(env_file=None, routes_file=str(file)), None)
        self.reloads: list[int] = []
        self.watch = RouteWatch(self.routes, lambda: self.reloads.append(self.routes.version))

    def write(self, text: str) -> None:
        self.file.write_text(text, encoding="utf-8")

    def check(self, times: int = 2) -> list[str]:
        """Look at the file, and return what was logged."""
        with capture_logs() as lines:
            for _ in range(times):
                self.watch.check()
        return [line["event"] for line in lines]

    @property
    def window_ms(self) -> int:
        return self.routes.of("generic", "a").settings.window_ms


@pytest.fixture
def watched(tmp_path) -> Watched:
    return Watched(tmp_path / "routes.toml")


def test_unchanged_file_is_not_read_again(watched):
    """Without a change nothing happens."""
    assert watched.check(5) == []
    assert watched.routes.version == 0


def test_changed_file_is_put_in_force_when_it_rests(watched):
    """A change counts at the second look that sees it, because a file may be half written at the first."""
    watched.write(OTHER)
    assert watched.check(1) == []
    assert watched.check(1) == ["routes reloaded"]
    assert (watched.window_ms, watched.reloads) == (4500, [1])
    assert watched.check(3) == []


def test_file_that_still_changes_waits(watched):
    """As long as each look sees another file, none is read."""
    for length in range(1, 5):
        watched.write(OTHER + "\n" * length)
        assert watched.check(1) == []
    assert watched.window_ms == 3000


def test_broken_file_is_told_once_and_changes_nothing(watched):
    """The old routes stay in force, and the log has one line until the file changes again."""
    watched.write(WRONG)
    assert watched.check(5) == ["the routes file cannot be used; the routes stay as they are"]
    assert (watched.window_ms, watched.reloads) == (3000, [])
    watched.write(OTHER)
    assert watched.check() == ["routes reloaded"]
    assert watched.window_ms == 4500


def test_vanished_file_is_told_once_and_changes_nothing(watched):
    """A file that is deleted leaves the routes in force; when it is back it counts."""
    watched.file.unlink()
    assert watched.check(4) == ["the routes file cannot be used; the routes stay as they are"]
    watched.write(OTHER)
    assert watched.check() == ["routes reloaded"]


def test_signal_reads_at_once(watched):
    """A reload that was asked for does not wait for a look, and says again what is wrong."""
    watched.write(OTHER)
    with capture_logs() as lines:
        watched.watch.reload()
    assert [line["event"] for line in lines] == ["routes reloaded"]
    assert lines[0]["changed"] == ["generic/a", "generic/b"]
    assert watched.check(3) == []


def test_secret_in_a_file_is_watched(tmp_path):
    """A new secret in a file that the routes refer to is put in force, too."""
    secret = tmp_path / "secret"
    secret.write_text("old", encoding="utf-8")
    watched = Watched(tmp_path / "routes.toml")
    watched.write(f"[generic.a]\nagent_secret = 'file:{secret}'\n")
    assert watched.check() == ["routes reloaded"]
    secret.write_text("newer", encoding="utf-8")
    assert watched.check() == ["routes reloaded"]
    assert watched.routes.of("generic", "a").settings.agent_secret.get_secret_value() == "newer"


def test_secret_that_comes_later_mends_the_routes(tmp_path):
    """A file that failed because a secret was not there is read again when the secret appears."""
    secret = tmp_path / "secret"
    watched = Watched(tmp_path / "routes.toml")
    watched.write(f"[generic.a]\nagent_secret = 'file:{secret}'\n")
    assert watched.check(3) == ["the routes file cannot be used; the routes stay as they are"]
    secret.write_text("there", encoding="utf-8")
    assert watched.check() == ["routes reloaded"]
