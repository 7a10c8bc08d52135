"""The routes file: what each table changes, where secrets come from, and how every mistake is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from config.reply_credentials import REPLY_CREDENTIALS
from config.route_keys import ROUTE_KEYS, channel_keys
from config.routes import Routes, load_routes
from config.settings import Settings, SettingsError, load_settings
from gateways.targets import target_of

PAGE = Path(__file__).parents[2] / "docs" / "routes.md"
TWO_SHOPS = """
[default]
agent_url = "https://n8n.example.com/webhook/bot"
takeover_from = "off"

[evolution.loja]
window = 6
first = "immediate"
agent_url = "http://agent.example.com/"
agent_secret = "env:LOJA_SECRET"
send_url = "https://evo.example.com"
send_key = "env:LOJA_KEY"
keywords = ["Já", "é só"]
separator = " | "

[meta."1055"]
enabled = false
agent_timeout = 30
"""


@pytest.fixture(autouse=True)
def _no_stray_settings(monkeypatch):
    """The developer's own environment cannot change a result."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("LOJA_KEY", "key-of-loja")
    monkeypatch.setenv("LOJA_SECRET", " secret-of-loja\n")


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "routes.toml"


def routes(file: Path, text: str, env_file: str | None = None, **settings: Any) -> Routes:
    file.write_text(text, encoding="utf-8")
    return load_routes(load_settings(env_file=None, routes_file=str(file), **settings), env_file)


def refusal(file: Path, text: str, **settings: Any) -> list[str]:
    """The sentences of a refusal, without the file's name, which all of them begin with."""
    with pytest.raises(SettingsError) as caught:
        routes(file, text, **settings)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{file}: ") for line in lines)
    return [line.removeprefix(f"{file}: ") for line in lines]


def test_without_a_file_there_is_one_route():
    """All channels share one route, which is the environment."""
    settings = load_settings(env_file=None)
    alone = load_routes(settings)
    assert alone.of("evolution", "loja") is alone.of("meta", "1055") is alone.only is alone.default
    assert alone.default.settings is settings


def test_a_table_changes_its_channel_only(file):
    """A channel's table counts before [default], which counts before the environment, which counts before defaults."""
    found = routes(file, TWO_SHOPS, retry_base=7.0)
    loja, other, meta = found.of("evolution", "loja"), found.of("evolution", "filial"), found.of("meta", "1055")
    assert found.only is None
    assert (loja.name, other.name, meta.name) == ("evolution/loja", "default", "meta/1055")
    assert (loja.settings.window_ms, other.settings.window_ms) == (6000, 8000)
    assert (loja.settings.first_ms, other.settings.first_ms) == (0, 8000)
    assert [one.settings.agent_timeout for one in (loja, other, meta)] == [60, 60, 30]
    assert [one.settings.retry_base for one in (loja, other, meta)] == [7, 7, 7]
    assert [one.settings.takeover_from for one in (loja, other, meta)] == ["off", "off", "off"]
    assert [one.enabled for one in (loja, other, meta)] == [True, True, False]
    assert loja.settings.message_buffer_flush_keywords == ("ja", "e so")
    assert loja.settings.message_buffer_separator == " | "
    assert found.of("evolution", "loja") is loja


def test_each_value_has_its_source(file):
    """A value is known to come from the channel's table, from [default], or from neither."""
    loja = routes(file, TWO_SHOPS).of("evolution", "loja")
    assert loja.sources["message_buffer_timeout"] == loja.sources["agent_url"] == "[evolution.loja]"
    assert loja.sources["takeover_from"] == "[default]"
    assert "retry_base" not in loja.sources


def test_credentials_of_a_channel(file):
    """A channel's own address and key are those that its replies are sent with."""
    found = routes(file, TWO_SHOPS, evolution_url="http://evo", evolution_api_key="key-of-all")
    loja, other = found.of("evolution", "loja"), found.of("evolution", "filial")
    assert target_of(loja.settings, "evolution")[:2] == ("https://evo.example.com", "key-of-loja")
    assert target_of(other.settings, "evolution")[:2] == ("http://evo", "key-of-all")
    assert loja.settings.agent_secret.get_secret_value() == "secret-of-loja"


def test_secrets_of_files_and_of_the_env_file(file, tmp_path):
    """A secret may stand in a file, or in the `.env` that the settings are read from; the environment counts first."""
    (tmp_path / "secret").write_text("from-the-file\n", encoding="utf-8")
    (tmp_path / "env").write_text("ONLY_HERE=from-env-file\nLOJA_KEY=other\n", encoding="utf-8")
    text = f"""
    [generic.a]
    agent_secret = "file:{tmp_path}/secret"
    [generic.b]
    agent_secret = "env:ONLY_HERE"
    [generic.c]
    agent_secret = "env:LOJA_KEY"
    """
    found = routes(file, text, str(tmp_path / "env"))
    secrets = [found.of("generic", one).settings.agent_secret.get_secret_value() for one in "abc"]
    assert secrets == ["from-the-file", "from-env-file", "key-of-loja"]
    assert found.files == {file, tmp_path / "secret"}
    assert found.names == {"ONLY_HERE", "LOJA_KEY"}


def test_addresses_may_be_references(file, monkeypatch):
    """An address with a password in it is written as a reference, too."""
    monkeypatch.setenv("ADDRESS", "https://bot:hunter2@agent.example.com/")
    found = routes(file, '[default]\nagent_url = "env:ADDRESS"\n[twilio.1]\naccount_sid = "env:LOJA_KEY"', **TWILIO)
    settings = found.of("twilio", "1").settings
    assert (settings.twilio_account_sid, settings.agent_url) == (
        "key-of-loja",
        "https://bot:hunter2@agent.example.com/",
    )


TWILIO: dict[str, Any] = {"twilio_auth_token": "t", "public_base_url": "https://bot.example.com"}
REFUSED = [
    ("window = 5", ["window stands in no table: write it below [default] or [gateway.channel]"]),
    ("default = 5", ["default must be a table: [default], or [gateway.channel]"]),
    ("evolution = 5", ["evolution must be a table: [default], or [gateway.channel]"]),
    ("[evolucion.loja]", ["[evolucion] is no gateway; did you mean evolution?"]),
    ("[evolution]\nwindow = 5", ["[evolution] window: a key belongs into the table of a channel, [evolution.channel]"]),
    ("[default]\nwindw = 5", ["[default] windw: is no key of a route; did you mean window?"]),
    ("[default]\nagenturl = 5", ["[default] agenturl: is no key of a route; did you mean agent_url?"]),
    (
        "[meta.1]\nMESSAGE_BUFFER_TIMEOUT = 5",
        ["[meta.1] MESSAGE_BUFFER_TIMEOUT: is the setting of the environment; here it is window"],
    ),
    (
        "[evolution.loja.sp]\nwindow = 5",
        ['[evolution.loja] sp: is a table in a table; if the channel is called so, write [evolution."loja.sp"]'],
    ),
    ("[default]\nsend_url = 'http://h'", ["[default] send_url: is a key of the tables of a gateway's channel"]),
    ("[meta.1]\naccount_sid = 'x'", ["[meta.1] account_sid: is a key of the tables of [twilio.…]"]),
    ("[meta.1]\nidempotent = true", ["[meta.1] idempotent: is a key of the tables of [generic.…]"]),
    ("[default]\nwindow = '5'", ["[default] window: '5' must be a number of seconds"]),
    ("[default]\nwindow = true", ["[default] window: true must be a number of seconds"]),
    ("[default]\nmax_messages = 2.5", ["[default] max_messages: 2.5 must be a whole number"]),
    ("[default]\ngroups = 1", ["[default] groups: 1 must be true or false"]),
    ("[default]\nkeywords = 'já'", ["""[default] keywords: 'já' must be a list of texts, e.g. ["a", "b"]"""]),
    ("[default]\nkeywords = [1]", ["""[default] keywords: [1] must be a list of texts, e.g. ["a", "b"]"""]),
    ("[default]\nenabled = 'no'", ["[default] enabled: 'no' is neither true nor false"]),
    (
        "[default]\nagent_kind = 'chat'",
        [
            "[default] agent_kind='chat' is unknown; write generic, n8n, openai, dify, flowise, typebot or langgraph",
        ],
    ),
    (
        "[default]\nagent_kind = 'openai'",
        ["[default] agent_kind=openai needs AGENT_MODEL: the name of the model, e.g. gpt-4o-mini or llama3.2"],
    ),
    (
        "[default]\nagent_kind = 'dify'",
        ["[default] agent_kind=dify needs AGENT_KEY: the key of the app, from its page `API Access` (app-...)"],
    ),
    (
        "[default]\nagent_repeat = 'look'",
        [
            "[default] agent_repeat=look is not possible with AGENT_KIND=generic, which cannot tell whether it has "
            "answered; write always or never"
        ],
    ),
    (
        "[default]\nagent_key = 'sk-1'",
        ["[default] agent_key: must be env:NAME or file:/path: a secret does not stand in this file"],
    ),
    ("[default]\nagent_url = ''", ["[default] agent_url: is empty: leave the line out"]),
    ("[default]\nagent_url = 'agent:1'", ["[default] agent_url: must be a full http:// or https:// address"]),
    (
        "[default]\nagent_url = 'http://bot:hunter2@h/'",
        ["[default] agent_url: has a password in it; write the whole address as env:NAME or file:/path"],
    ),
    ("[default]\nwindow = 0", ["[default] window='0' must be more than 0 seconds"]),
    ("[default]\nreply_split = 'lines'", ["[default] reply_split='lines' is unknown; write off or paragraphs"]),
    ("[default]\nfirst = 'now'", ["[default] first: 'now' must be normal, immediate or a number of seconds, e.g. 2.5"]),
    (
        "[default]\ntakeover_keywords = ['#bot']",
        ["[default] takeover_keywords: '#bot' must be a word, = and resume or take; e.g. #bot=resume,#humano=take"],
    ),
    (
        "[meta.1]\nwindow = 70",
        ["[meta.1] window=70 must be less than MESSAGE_BUFFER_MAX_WAIT=60: the window could never end a burst"],
    ),
    (
        "[default]\nmax_wait = 5\n[meta.1]\nwindow = 4",
        ["[default] MESSAGE_BUFFER_TIMEOUT=8 must be less than max_wait=5: the window could never end a burst"],
    ),
    (
        "[meta.1]\nagent_timeout = 90",
        ["[meta.1] SHUTDOWN_GRACE=70 must be at least agent_timeout=90: a call in flight could not finish"],
    ),
    ("[meta.1]\nfirst = 61", ["[meta.1] first=61.0 must not exceed MESSAGE_BUFFER_MAX_WAIT=60"]),
    (
        "[evolution.loja]\nsend_key = 'env:LOJA_KEY'",
        ["[evolution.loja] send_key is set, but neither send_url nor EVOLUTION_URL is"],
    ),
    (
        "[zapi.1]\nsend_key = 'env:LOJA_KEY'",
        ["[zapi.1] send_key is set, but neither instance_token nor ZAPI_INSTANCE_TOKEN is"],
    ),
]


@pytest.mark.parametrize(("text", "sentences"), REFUSED, ids=[text.replace("\n", " ") for text, _ in REFUSED])
def test_mistake_is_refused_with_its_place(file, text, sentences):
    """Every mistake is refused at start with the file, the table, the key, and what may stand there."""
    assert refusal(file, text) == sentences


@pytest.mark.parametrize("key", ["agent_secret", "send_key", "instance_token"])
def test_secret_in_the_file_is_refused(file, key):
    """A secret never stands in the file itself, and the refusal does not repeat it."""
    [sentence] = refusal(file, f'[zapi.1]\n{key} = "hunter2"')
    assert sentence == f"[zapi.1] {key}: must be env:NAME or file:/path: a secret does not stand in this file"


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("env:NOWHERE_SET", "env:NOWHERE_SET: the environment has no NOWHERE_SET"),
        ("env:", "env:: the environment has no variable without a name"),
        ("file:secret", "file:secret: the path must be absolute"),
        ("file:/nowhere/secret", "file:/nowhere/secret cannot be read: No such file or directory"),
        ("file:/dev/null", "file:/dev/null is empty"),
    ],
)
def test_reference_to_nothing_is_refused(file, reference, sentence):
    """A reference that leads to no value is refused."""
    assert refusal(file, f"[default]\nagent_secret = '{reference}'") == [f"[default] agent_secret: {sentence}"]


def test_all_mistakes_are_named_at_once(file):
    """One refusal has a line for each mistake of all tables."""
    lines = refusal(file, "[default]\nwindw = 5\n[meta.1]\nenabled = 1\n[nobody.x]\n[waha.y]\nmax_bytes = 0")
    assert [line.partition("]")[0][1:] for line in lines] == ["default", "meta.1", "nobody", "waha.y"]


@pytest.mark.parametrize("content", [b"[default\n", b"[default]\nwindow = 1\nwindow = 2\n", b"\xff\n"])
def test_no_toml_is_refused(file, content):
    """A file that is no TOML, or has a key twice, is refused by its name."""
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"routes\.toml: this is not TOML: "):
        load_routes(load_settings(env_file=None, routes_file=str(file)))


def test_missing_file_is_refused(file):
    """A ROUTES_FILE that is not there stops the start."""
    with pytest.raises(SettingsError, match=f"ROUTES_FILE={file} cannot be read: No such file or directory"):
        load_routes(load_settings(env_file=None, routes_file=str(file)))


def test_every_key_is_a_setting():
    """The tables of keys name settings that exist, and the page names every key."""
    named = {key: setting for gateway in REPLY_CREDENTIALS for key, setting in channel_keys(gateway).items()}
    assert {**ROUTE_KEYS, **named}.items() >= ROUTE_KEYS.items()
    assert set(named.values()) <= set(Settings.model_fields)
    text = PAGE.read_text(encoding="utf-8")
    assert [key for key in (*named, "enabled") if f"| `{key}` |" not in text] == []
    rows = dict(re.findall(r"^\| `(\w+)` \| `([A-Z_]+)` \|", text, re.MULTILINE))
    assert rows == {key: setting.upper() for key, setting in ROUTE_KEYS.items()}


def test_secret_never_shows(file):
    """A route's settings show no secret that the file refers to."""
    loja = routes(file, TWO_SHOPS).of("evolution", "loja")
    assert "key-of-loja" not in f"{loja!r} {loja.settings!r} {loja.settings.model_dump_json()}"


def test_reload_keeps_what_was_right(file):
    """A reload puts the new file in force; one that is wrong leaves the old routes as they were."""
    found = routes(file, TWO_SHOPS)
    file.write_text("[evolution.loja]\nwindow = 3\n", encoding="utf-8")
    found.reload()
    loja = found.of("evolution", "loja")
    assert (found.version, loja.settings.window_ms) == (1, 3000)
    assert found.of("meta", "1055") is found.default
    file.write_text("[evolution.loja]\nwindow = 0\n", encoding="utf-8")
    with pytest.raises(SettingsError):
        found.reload()
    assert found.of("evolution", "loja") is loja
    assert found.version == 1
