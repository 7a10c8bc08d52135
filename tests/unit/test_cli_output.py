"""The text of the commands: addresses, tables, colours, the banner, and refusals of sockets."""

from __future__ import annotations

import argparse
import io
import os
import socket

import pytest

from cli.banner import banner
from cli.commands.check import settings_rows
from cli.commands.sample_agent import REASONS
from cli.demo.script import ANA, STEPS
from cli.demo.sender import evolution_body
from cli.main import build_parser
from cli.options import load_settings_with_flags
from cli.sockets import bind_listener, own_address, url_of
from cli.supervisor import RESTART_DELAY_MAX_S, STEADY_S, exit_text, restart_delay
from cli.terminal import Colours, columns, duration_text, redact_url
from config.settings import SettingsError, load_settings
from gateways.base import Request
from gateways.registry import GATEWAYS


def settings(**overrides):
    return load_settings(env_file=None, **{"agent_url": "http://127.0.0.1:9000/", **overrides})


def banner_text(**overrides) -> str:
    return "\n".join(banner(settings(**overrides), "somewhere"))


class Terminal(io.StringIO):
    """A stream that calls itself a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://me:secret@host:6379/0", "redis://me:***@host:6379/0"),
        ("redis://host/0?password=secret", "redis://host/0?***"),
        ("unix:///a/path.sock?db=0", "unix:///a/path.sock?***"),
        ("https://host/webhook/a", "https://host/webhook/a"),
    ],
)
def test_urls_are_shown_without_secrets(url, shown):
    """Password and query are hidden, the rest stays recognisable."""
    assert redact_url(url) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://db:6379/0", "redis://db:6379/0"),
        ("redis://:secret@db/0", "redis://:***@db/0"),
        ("rediss://app:secret@db", "rediss://app:***@db"),
        ("redis://app:s@cret@db", "redis://app:***@db"),
        ("redis+sentinel://app:secret@one,two/main", "redis+sentinel://app:***@one,two/main"),
    ],
)
def test_password_is_hidden(url, shown):
    """A URL is shown to people without its password."""
    assert redact_url(url) == shown


@pytest.mark.parametrize(("host", "own"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.5", "10.0.0.5")])
def test_own_address(host, own):
    """A wildcard is reached over loopback, any other address as it is."""
    assert own_address(host) == own


def test_ipv6_addresses_get_brackets():
    """An IPv6 host is bracketed in a URL."""
    assert url_of("::1", 8000) == "http://[::1]:8000"


def test_columns_are_aligned():
    """The cells of a column start at the same place, and lines have no blanks at the end."""
    assert columns([("a", "b"), ("long", "")]) == ["  a     b", "  long"]


def test_colours_only_on_a_terminal(monkeypatch):
    """Colour codes appear on a terminal, and neither in a file nor against the user's wish."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert Colours(Terminal())("word", "red") == "\x1b[31mword\x1b[0m"
    assert Colours(io.StringIO())("word", "red") == "word"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Colours(Terminal())("word", "red") == "word"


def test_the_table_shows_every_setting_once():
    """Every setting has its row, changed ones beside their default, secrets only as set or not."""
    rows = {name: (value, note) for name, value, note in settings_rows(settings(port=9001, admin_token="word"))}
    assert set(rows) == {name.upper() for name in type(settings()).model_fields}
    assert rows["PORT"] == ("9001", "default: 8000")
    assert rows["ADMIN_TOKEN"][0] == "(set, hidden)"
    assert rows["MESSAGE_BUFFER_SEPARATOR"] == (r"\n", "")
    assert rows["MESSAGE_BUFFER_ENABLED"] == ("true", "")
    assert "word" not in str(rows)


def test_the_banner_says_where_to_paste_what():
    """Each open gateway has its URL, the closed ones are named, and so is the place where bursts go."""
    text = banner_text(evolution_token="word", port=8123)
    assert "http://127.0.0.1:8123/webhooks/evolution" in text
    assert "<EVOLUTION_TOKEN>" in text
    assert "webhooks/generic" not in text
    assert "Closed gateways" in text
    assert "http://127.0.0.1:9000/ after 8 s of quiet" in text
    assert "word" not in text


def test_the_banner_uses_the_public_address():
    """Behind a proxy the gateway must be given the public address."""
    assert "https://bot.example.com/webhooks/evolution" in banner_text(
        evolution_token="word", public_base_url="https://bot.example.com"
    )


def test_the_banner_warns():
    """No open gateway, all gateways open, and loopback only each have a hint in the banner."""
    assert "nothing can arrive" in banner_text()
    assert "WEBHOOK_ALLOW_UNSIGNED=true" in banner_text(webhook_allow_unsigned=True)
    assert "--host 0.0.0.0" in banner_text()
    assert "--host 0.0.0.0" not in banner_text(host="0.0.0.0")


def test_every_reason_has_words():
    """The sample agent has a text for every reason that closes a burst."""
    from buffer.models import Reason

    assert set(REASONS) == set(Reason)


def test_a_taken_port_is_named():
    """The sentence for a taken port names it and a way out, even when the other has only just bound it."""
    with bind_listener("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"PORT={port}.*--port {port + 1}"):
            bind_listener("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_a_foreign_address_is_named(host):
    """An address that this machine does not have is named with a way out."""
    with pytest.raises(SettingsError, match=f"HOST={host}: this machine has no such address"):
        bind_listener(host, 0)


def test_a_listening_socket_takes_connections_at_once():
    """Connections made before the webhook is up wait instead of being refused."""
    with bind_listener("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        pass


@pytest.mark.parametrize(("code", "text"), [(-9, "killed by SIGKILL"), (2, "exit code 2")])
def test_exit_codes_in_words(code, text):
    """An exit by a signal is described by its name, any other by its exit code."""
    assert exit_text(code) == text


def test_pauses_grow_until_a_process_is_steady():
    """The restart delay doubles up to a limit. After a steady run it begins at the minimum again."""
    pauses = [0.0]
    while len(pauses) < 10:
        pauses.append(restart_delay(pauses[-1], ran_for_s=1.0))
    assert pauses[1:] == sorted(pauses[1:])
    assert pauses[1] < pauses[2] < pauses[-1] == RESTART_DELAY_MAX_S
    assert restart_delay(RESTART_DELAY_MAX_S, ran_for_s=STEADY_S + 1) == pauses[1]


def test_flags_go_before_the_environment(monkeypatch, tmp_path):
    """A flag overrides a variable, also for child processes, which read the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORT", "8001")
    monkeypatch.setenv("HOST", "10.0.0.5")
    args = build_parser().parse_args(["serve", "--port", "8002"])
    found = load_settings_with_flags(args)
    assert (found.port, found.host) == (8002, "10.0.0.5")
    assert os.environ["PORT"] == "8002"


def test_an_unreadable_env_file_is_named(monkeypatch, tmp_path):
    """A `.env` that is no UTF-8 text is refused with a sentence."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes(b"AGENT_URL=\xe9\n")
    with pytest.raises(SettingsError, match=r"\.env: this file cannot be read"):
        load_settings_with_flags(argparse.Namespace())


@pytest.mark.parametrize(
    "command", ["up", "serve", "worker", "check", "status", "pending", "dead", "sample-agent", "demo"]
)
def test_every_command_can_be_loaded(command):
    """Each command of the parser has a module with a function to run."""
    import importlib

    args = build_parser().parse_args([command])
    assert callable(importlib.import_module(args.module).run)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["chekc"], "debouncer: there is no command 'chekc'; did you mean `check`?"),
        (["dead", "rety"], "debouncer dead: there is no action 'rety'; did you mean `retry`?"),
        (["health", "weboook"], "debouncer health: there is no part 'weboook'; did you mean `webhook`?"),
        (["xyzzy"], "debouncer: there is no command 'xyzzy'. There are: up, serve, worker, "),
    ],
)
def test_misspelt_commands(words, said, capsys):
    """A misspelt command is told with the nearest one, or with all of them."""
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pending", "--offset", "-1"], "argument --offset: '-1' is no number of rows: write 0 to 100000"),
        (["flushes", "--limit", "many"], "argument --limit: 'many' is no number of rows"),
        (["pause", "evolution/loja", "1", "--for", "abc"], "argument --for: 'abc' is no time: write seconds"),
        (["pause", "evolution/loja", "1", "--for", "nan"], "argument --for: 'nan' is no time: write seconds"),
        (["flushes", "--outcome", "lost"], "failed_after_sent"),
    ],
)
def test_wrong_arguments(words, said, capsys):
    """A wrong argument is named, with what to write instead."""
    with pytest.raises(SystemExit, match="2"):
        build_parser().parse_args(words)
    assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (400, "0 s"),
        (59_000, "59 s"),
        (90_000, "1 min 30 s"),
        (600_000, "10 min"),
        (5_400_000, "1 h 30 min"),
        (2e8, "2 days"),
    ],
)
def test_durations(ms, text):
    """A duration is short and has its unit."""
    assert duration_text(ms) == text


def test_the_demo_speaks_evolution():
    """The gateway reads the bodies of the demo as the messages of the script."""
    import json

    body = json.dumps(evolution_body(STEPS[0])).encode()
    (message,) = GATEWAYS["evolution"].parse(Request({}, {}, "", body))
    assert (message.text, message.message_id) == (STEPS[0].text, STEPS[0].message_id)
    assert (message.conversation.peer, message.sender_name) == (ANA.phone, ANA.name)


@pytest.mark.parametrize("command", ["up", "serve", "worker", "check", "status", "dead"])
def test_help_says_where_settings_are(command, capsys):
    """The help of a command names the place of the settings, and the command that shows them."""
    with pytest.raises(SystemExit):
        build_parser().parse_args([command, "--help"])
    assert "lines of .env" in capsys.readouterr().out
