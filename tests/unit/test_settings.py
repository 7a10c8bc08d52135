"""The settings: which values are refused and how, and the three files that list them."""

from __future__ import annotations

import re

import pytest
from pydantic import SecretStr

from config.keywords import keyword_key
from config.settings import Settings, SettingsError, load_settings, spelling_warnings
from config.settings_rules import DURABILITY_TIMEOUT_MAX_S
from tests.settings_docs import ENV_EXAMPLE, GROUPS, README, REFERENCE, ROW, env_example, readme, reference, rows
from webhook.app import REDIS_TIMEOUT_S
from webhook.append_coalescer import STORE_TIMEOUT_S

UPDATE = "run `python -m tests.settings_docs`"
SECRETS = [name for name, field in Settings.model_fields.items() if SecretStr.__name__ in str(field.annotation)]
ADDRESSES = ["AGENT_URL", "PUBLIC_BASE_URL", "EVOLUTION_URL", "META_URL", "GENERIC_REPLY_URL"]
OPTIONAL = ["AGENT_URL", "PUBLIC_BASE_URL", "EVOLUTION_URL", "GENERIC_REPLY_URL", "TWILIO_ACCOUNT_SID"]
NEEDED_WITH = {"twilio_auth_token": {"PUBLIC_BASE_URL": "https://bot.example.com"}}


@pytest.fixture(autouse=True)
def _no_stray_settings(monkeypatch):
    """The developer's own environment cannot change a result."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def load(monkeypatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return load_settings(env_file=None)


def refusal(monkeypatch, **environment: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, **environment)
    return str(caught.value)


def test_the_reference_lists_every_setting():
    """docs/settings.md is exactly the text made from the model: every setting, its default and its meaning."""
    assert REFERENCE.read_text(encoding="utf-8") == reference(), UPDATE
    assert [found[1] for found in ROW.finditer(reference())] == [name.upper() for name in Settings.model_fields]
    assert re.findall("^## (.+)", reference(), re.MULTILINE) == list(GROUPS.values())


def test_env_example_lists_every_setting():
    """.env.example holds each setting of the model once, commented out, with its default and description."""
    text = ENV_EXAMPLE.read_text(encoding="utf-8")
    assert text == env_example(), UPDATE
    assert re.findall(r"^#([A-Z_]+)=", text, re.MULTILINE) == [name.upper() for name in Settings.model_fields]


def test_readme_table_equals_the_model():
    """Each row of README.md's table has the name, default and meaning of one setting, and none stands there twice."""
    found = [(row[1], row[0]) for row in ROW.finditer(README.read_text(encoding="utf-8"))]
    assert found, "README.md has no table of settings"
    assert found == [(name, rows().get(name, "no such setting")) for name, _ in found], UPDATE
    assert len(found) == len(dict(found))


@pytest.mark.parametrize("name", ["MESSAGE_BUFFER_TIMEOUT", "AGENT_URL"])
def test_a_changed_row_is_found(name):
    """A row of another default or meaning than the model's is not kept by an update."""
    row = rows()[name]
    assert readme(f"text\n{row.replace(' | ', ' | x', 1)}\n") == f"text\n{row}\n"
    assert readme(f"text\n{row[:-2]}, more |\n") == f"text\n{row}\n"


def test_env_example_uncommented_changes_nothing(tmp_path):
    """The file as it stands, every line switched on, gives exactly the defaults."""
    text = ENV_EXAMPLE.read_text(encoding="utf-8")
    (tmp_path / "env").write_text(re.sub(r"^#([A-Z_]+=)", r"\1", text, flags=re.MULTILINE), encoding="utf-8")
    assert load_settings(env_file=str(tmp_path / "env")) == load_settings(env_file=None)


IMPOSSIBLE = [
    (
        {"MESSAGE_BUFFER_TIMEOUT": "60"},
        "MESSAGE_BUFFER_TIMEOUT=60 must be less than MESSAGE_BUFFER_MAX_WAIT=60",
    ),
    (
        {"MESSAGE_BUFFER_MAX_WAIT": "8"},
        "MESSAGE_BUFFER_TIMEOUT=8 must be less than MESSAGE_BUFFER_MAX_WAIT=8",
    ),
    (
        {"MESSAGE_BUFFER_TIMEOUT_TYPING": "8.5"},
        "MESSAGE_BUFFER_TIMEOUT_TYPING=8.5 must not exceed MESSAGE_BUFFER_TIMEOUT=8",
    ),
    ({"MESSAGE_BUFFER_FIRST": "60.5"}, "MESSAGE_BUFFER_FIRST=60.5 must not exceed MESSAGE_BUFFER_MAX_WAIT=60"),
    ({"FLUSH_LEASE": "14"}, "FLUSH_LEASE=14 must be at least 3 x FLUSH_RENEW_INTERVAL=5"),
    ({"FLUSH_RENEW_INTERVAL": "5.1"}, "FLUSH_LEASE=15 must be at least 3 x FLUSH_RENEW_INTERVAL=5.1"),
    ({"SHUTDOWN_GRACE": "59"}, "SHUTDOWN_GRACE=59 must be at least AGENT_TIMEOUT=60"),
    ({"AGENT_TIMEOUT": "71"}, "SHUTDOWN_GRACE=70 must be at least AGENT_TIMEOUT=71"),
    ({"AGENT_KIND": "openai"}, "AGENT_KIND=openai needs AGENT_MODEL"),
    ({"AGENT_KIND": "dify"}, "AGENT_KIND=dify needs AGENT_KEY"),
    ({"AGENT_REPEAT": "look"}, "AGENT_REPEAT=look is not possible with AGENT_KIND=generic"),
    ({"AGENT_KIND": "n8n", "AGENT_REPEAT": "look"}, "AGENT_REPEAT=look is not possible with AGENT_KIND=n8n"),
    (
        {"MESSAGE_WHILE_ANSWERING": "restart", "AGENT_REPEAT": "never"},
        "MESSAGE_WHILE_ANSWERING=restart asks the agent again when a person goes on, and AGENT_REPEAT=never forbids",
    ),
    (
        {"MESSAGE_WHILE_ANSWERING": "restart", "AGENT_KIND": "typebot"},
        "AGENT_REPEAT=never, the default of AGENT_KIND=typebot, forbids that; write queue",
    ),
    ({"AGENT_PARAMS": "[]"}, "AGENT_PARAMS: must be a JSON object"),
    ({"AGENT_PARAMS": '{"model": "m"}'}, "AGENT_PARAMS: must not have model"),
    ({"RETRY_BASE": "301"}, "RETRY_BASE=301 must not exceed RETRY_MAX=300"),
    ({"DEDUPE_TTL": "59"}, "DEDUPE_TTL=59 must be at least MESSAGE_BUFFER_MAX_WAIT=60"),
    ({"DURABILITY_TIMEOUT": "0.81"}, "DURABILITY_TIMEOUT=0.81 must not exceed 0.8"),
    (
        {"DURABILITY": "disk", "REDIS_URL": "redis+cluster://h"},
        "DURABILITY=disk cannot be kept on a cluster (REDIS_URL=redis+cluster://",
    ),
    ({"TWILIO_AUTH_TOKEN": "t"}, "TWILIO_AUTH_TOKEN is set, so PUBLIC_BASE_URL must be too"),
]

LIMITS = [
    {
        "MESSAGE_BUFFER_TIMEOUT": "0.5",
        "MESSAGE_BUFFER_MAX_WAIT": "0.6",
        "MESSAGE_BUFFER_TIMEOUT_TYPING": "0.5",
    },
    {"TYPING_HOLD": "0", "TYPING_GRACE": "0"},
    {"TYPING_HOLD": "61", "TYPING_GRACE": "62"},
    {"FLUSH_LEASE": "15", "FLUSH_RENEW_INTERVAL": "5"},
    {"SHUTDOWN_GRACE": "60", "AGENT_TIMEOUT": "60"},
    {"RETRY_BASE": "300", "RETRY_MAX": "300"},
    {"DEDUPE_TTL": "60", "MESSAGE_BUFFER_MAX_WAIT": "60"},
    {"DURABILITY_TIMEOUT": "0.8"},
]


@pytest.mark.parametrize(("environment", "sentence"), IMPOSSIBLE)
def test_impossible_combination_is_refused(monkeypatch, environment, sentence):
    """A combination that cannot work is refused with a sentence that names both variables."""
    assert sentence in refusal(monkeypatch, **environment)


@pytest.mark.parametrize("environment", LIMITS)
def test_the_limit_itself_is_possible(monkeypatch, environment):
    """Values exactly at a rule's limit are accepted."""
    settings = load(monkeypatch, **environment)
    assert {name: float(value) for name, value in environment.items()} == {
        name: getattr(settings, name.lower()) for name in environment
    }


def test_a_wait_leaves_time_for_an_answer():
    """The longest wait for replica or disk ends before the webhook gives up its reply, and that before it must answer.

    The server looks at its clients' time ten times a second: a wait can be 0.1 s longer than it was asked for.
    """
    assert DURABILITY_TIMEOUT_MAX_S + 0.1 < REDIS_TIMEOUT_S < STORE_TIMEOUT_S


@pytest.mark.parametrize("value", ["disc", "replicas", "true"])
def test_unknown_durability_is_refused(monkeypatch, value):
    """An unknown DURABILITY is refused with the known names."""
    assert refusal(monkeypatch, DURABILITY=value) == f"DURABILITY={value!r} is unknown; write memory, replica or disk"


def test_all_problems_are_named_at_once(monkeypatch):
    """Two mistakes are two lines of one refusal, so that one restart is enough to repair both."""
    lines = refusal(monkeypatch, RETRY_BASE="301", SHUTDOWN_GRACE="1").splitlines()
    assert [line.partition("=")[0] for line in lines] == ["SHUTDOWN_GRACE", "RETRY_BASE"]


ZERO_IS_NO_CAPACITY = [
    "MESSAGE_BUFFER_TIMEOUT",
    "MESSAGE_BUFFER_MAX_MESSAGES",
    "MESSAGE_BUFFER_MAX_BYTES",
    "UVICORN_WORKERS",
    "REDIS_PARTITIONS",
    "AGENT_TIMEOUT",
    "AGENT_MAX_ATTEMPTS",
    "AGENT_GIVE_UP",
    "WORKER_CONCURRENCY",
    "VISIBILITY_TIME",
    "DURABILITY_TIMEOUT",
    "PORT",
]


@pytest.mark.parametrize("name", ZERO_IS_NO_CAPACITY)
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "eight", ""])
def test_numbers_that_cannot_work_are_refused(monkeypatch, name, value):
    """Zero, negative, endless and unreadable numbers are refused by the variable's name."""
    assert refusal(monkeypatch, **{name: value}).startswith(f"{name}={value!r} ")


WRONG_VALUES = [
    ("MESSAGE_BUFFER_TIMEOUT", "8s", "is not a number of seconds; write 8"),
    ("MESSAGE_BUFFER_TIMEOUT", "2,5", "is not a number of seconds; write 2.5"),
    ("MESSAGE_BUFFER_TIMEOUT", "500ms", "is not a number of seconds; write 0.5"),
    ("MESSAGE_BUFFER_TIMEOUT", "oito", "is not a number of seconds; write one like 8"),
    ("AGENT_TIMEOUT", "1m", "is not a number of seconds; write 60"),
    ("MESSAGE_BUFFER_TIMEOUT_TYPING", "3 s", "is not a number of seconds; write 3"),
    ("MESSAGE_BUFFER_TIMEOUT", "0", "must be more than 0 seconds"),
    ("WEBHOOK_MAX_BODY", "16MB", "is not a number of bytes; write 16777216"),
    ("WEBHOOK_MAX_BODY", "16.777.216", "is not a number of bytes; write 16777216"),
    ("PORT", "99999", "must be at most 65535"),
    ("PORT", "http", "is not a whole number; write one like 8000"),
    ("PORT", "", "is empty: write a whole number, or leave the line out (default: 8000)"),
    ("MESSAGE_BUFFER_ENABLED", "sim", "is neither true nor false; write true"),
    ("GROUPS_ENABLED", "não", "is neither true nor false; write false"),
    ("GROUPS_ENABLED", "maybe", "is neither true nor false; write true or false"),
    ("LOG_LEVEL", "LOUD", "is unknown; write DEBUG, INFO, WARNING or ERROR"),
    ("SEND_REPLIES", "on", "is unknown; write auto or off"),
    ("REPLY_SPLIT", "lines", "is unknown; write off or paragraphs"),
    ("REPLY_IN_DOUBT", "drop", "is unknown; write hold or resend"),
    ("REPLY_MARKDOWN", "html", "is unknown; write off or whatsapp"),
    ("TAKEOVER_FROM", "phone", "is unknown; write device, any or off"),
    ("REPLY_PARTS_MAX", "0", "must be at least 1"),
    ("REPLY_TYPING_CPS", "-1", "must be at least 0"),
    ("REPLY_GIVE_UP", "1d", "is not a number of seconds; write 86400"),
    ("TAKEOVER_PAUSE", "1h", "is not a number of seconds; write 3600"),
    ("RQ_QUEUE", "a b", "may only contain letters, digits, dots, dashes and underscores"),
]


@pytest.mark.parametrize(("name", "value", "sentence"), WRONG_VALUES)
def test_wrong_value_is_shown_with_what_was_expected(monkeypatch, name, value, sentence):
    """A wrong value is shown beside what was expected, in words of this project, with what to write."""
    assert refusal(monkeypatch, **{name: value}) == f"{name}={value!r} {sentence}"


MEANT_ADDRESSES = [
    ("redis:6379", "redis://redis:6379/0"),
    ("redis:6379/2", "redis://redis:6379/2"),
    ("10.0.0.5:6380", "redis://10.0.0.5:6380/0"),
    ("redis", "redis://redis:6379/0"),
    ("6379", "redis://localhost:6379/0"),
    ("//cache:6379", "redis://cache:6379/0"),
    ("rediss:cache:6379", "rediss://cache:6379/0"),
    ("redis:/cache:6379", "redis://cache:6379/0"),
    ("unix:/run/redis.sock", "unix:///run/redis.sock"),
    ("/run/redis.sock", "unix:///run/redis.sock"),
    ("valkey://cache:6379/0", "redis://cache:6379/0"),
    ("sentinel://one,two/main", "redis+sentinel://one,two/main"),
]


@pytest.mark.parametrize("name", ["REDIS_URL", "RQ_REDIS_URL"])
@pytest.mark.parametrize(("url", "form"), MEANT_ADDRESSES)
def test_address_that_leads_elsewhere_is_refused(monkeypatch, name, url, form):
    """An address that a client would read as another server is refused with the form that is meant."""
    assert refusal(monkeypatch, **{name: url}).endswith(f"; did you mean {form}?")


@pytest.mark.parametrize(
    "url", ["redis://", "redis://:6379", "redis:///0", "redis://:a#b@h:1", "redis://h/name", "unix://"]
)
def test_address_without_a_place_is_refused(monkeypatch, url):
    """An address that leaves host, socket or database to a client's default is refused."""
    assert refusal(monkeypatch, REDIS_URL=url).startswith("REDIS_URL: ")


@pytest.mark.parametrize("name", ["REDIS_URL", "RQ_REDIS_URL"])
@pytest.mark.parametrize("url", ["localhost:6379", "http://localhost:6379", "6379"])
def test_bad_redis_url_is_refused(monkeypatch, name, url):
    """A Redis address without a known scheme is refused, with the schemes that are known."""
    sentence = refusal(monkeypatch, **{name: url})
    assert sentence.startswith(f"{name}: must start with one of redis://, rediss://, unix://")


@pytest.mark.parametrize("url", ["redis://h:1/0", "rediss://h", "unix:///run/r.sock", "redis+sentinel://h/m"])
def test_good_redis_url_is_kept(monkeypatch, url):
    """Each form of address is kept as written, and serves RQ's queue unless that has its own."""
    settings = load(monkeypatch, REDIS_URL=url)
    assert (settings.redis_url, settings.queue_redis_url) == (url, url)
    assert load(monkeypatch, RQ_REDIS_URL="redis://other").queue_redis_url == "redis://other"


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize("url", ["agent:9000", "ftp://agent/", "http://", "/hook", "https:///hook"])
def test_bad_address_is_refused(monkeypatch, name, url):
    """An address that no request could reach is refused at start."""
    assert refusal(monkeypatch, **{name: url}) == f"{name}: must be a full http:// or https:// address"


@pytest.mark.parametrize("url", ["https://h/?a=1", "https://h#a", "https://h:0", "https://h:99999", "https://h:x"])
def test_base_url_with_more_than_a_base_is_refused(monkeypatch, url):
    """A base that cannot be continued with a path is refused at start."""
    assert refusal(monkeypatch, PUBLIC_BASE_URL=url).startswith("PUBLIC_BASE_URL: ")


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "soon", ""])
def test_bad_signature_age_is_refused(monkeypatch, value):
    """The age is a number of seconds, and only 0 accepts any age."""
    assert refusal(monkeypatch, SIGNATURE_MAX_AGE=value).startswith(f"SIGNATURE_MAX_AGE={value!r} ")
    assert load(monkeypatch, SIGNATURE_MAX_AGE="0.5").signature_max_age == 0.5


@pytest.mark.parametrize("name", ["REDIS_URL", "RQ_REDIS_URL", *OPTIONAL, "MESSAGE_BUFFER_TIMEOUT_TYPING", *SECRETS])
def test_blank_means_unset(monkeypatch, name):
    """NAME= (as compose files and .env templates write it) is the same as no NAME at all."""
    assert load(monkeypatch, **{name.upper(): " "}) == load_settings(env_file=None)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"\n", "\n"),
        (r"\n\n", "\n\n"),
        (r" \t", " \t"),
        (r"\r\n", "\r\n"),
        (" | ", " | "),
        ("\n", "\n"),
        ("", ""),
    ],
)
def test_separator_escapes(monkeypatch, written, meant):
    r"""A separator is written with \n, \t and \r, and everything else stays as it is."""
    assert load(monkeypatch, MESSAGE_BUFFER_SEPARATOR=written).message_buffer_separator == meant


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("", ()),
        ("pronto", ("pronto",)),
        (" Pronto , É só isso,,OK ", ("pronto", "e so isso", "ok")),
        (",", ()),
    ],
)
def test_keywords_are_a_comma_list(monkeypatch, written, words):
    """Keywords are split at commas, trimmed and compared without case and accents."""
    assert load(monkeypatch, MESSAGE_BUFFER_FLUSH_KEYWORDS=written).message_buffer_flush_keywords == words


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("  ÓBVIO ", "obvio"),
        ("é só isso", "e so isso"),
        ("e\u0301", "e"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("#BOT", "#bot"),
        ("ponto.", "ponto."),
        ("안녕", "안녕"),
        ("", ""),
    ],
)
def test_keywords_compare_without_case_and_accents(text, key):
    """A keyword that is typed without its accents, or with other ones, is the same keyword; other signs count."""
    assert keyword_key(text) == keyword_key(key) == key


@pytest.mark.parametrize(
    ("written", "actions"),
    [
        ("", {}),
        ("#bot=resume,#humano=take", {"#bot": "resume", "#humano": "take"}),
        (" Voltar Já = resume ,a=b=take", {"voltar ja": "resume", "a=b": "take"}),
    ],
)
def test_takeover_keywords_have_an_action(monkeypatch, written, actions):
    """Each keyword of TAKEOVER_KEYWORDS has the action that stands behind its last equals sign."""
    assert load(monkeypatch, TAKEOVER_KEYWORDS=written).takeover_actions == actions


@pytest.mark.parametrize("value", ["#bot", "#bot=", "=take", "#bot=stop", "#bot=resume,#BÓT=take"])
def test_unreadable_takeover_keywords_are_refused(monkeypatch, value):
    """A keyword without an action, with an unknown one, or with two is refused by the setting's name."""
    assert refusal(monkeypatch, TAKEOVER_KEYWORDS=value).startswith("TAKEOVER_KEYWORDS: '")


@pytest.mark.parametrize(
    ("written", "first_ms"), [("normal", 8000), ("Immediate", 0), ("2.5", 2500), ("60", 60_000), ("0.0001", 1)]
)
def test_first_window(monkeypatch, written, first_ms):
    """The window after a first message is the normal one, none, or a number of seconds."""
    assert load(monkeypatch, MESSAGE_BUFFER_FIRST=written).first_ms == first_ms


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "now", "", "2,5"])
def test_bad_first_window_is_refused(monkeypatch, value):
    """Any other value is refused with what can be written."""
    sentence = f"MESSAGE_BUFFER_FIRST: {value!r} must be normal, immediate or a number of seconds, e.g. 2.5"
    assert refusal(monkeypatch, MESSAGE_BUFFER_FIRST=value) == sentence


def test_blank_address_of_a_hosted_gateway_is_its_own(monkeypatch):
    """The addresses of hosted gateways have a default, which a blank value keeps."""
    names = ["META_URL", "TWILIO_URL", "ZAPI_URL", "TELEGRAM_URL"]
    assert load(monkeypatch, **dict.fromkeys(names, "")) == load_settings(env_file=None)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("MESSAGE_BUFFER_TIMOUT", "MESSAGE_BUFFER_TIMEOUT"),
        ("MESSAGE_BUFFER_MAX_MESSAGE", "MESSAGE_BUFFER_MAX_MESSAGES"),
        ("AGENT_TIMEOUTS", "AGENT_TIMEOUT"),
        ("WEBHOOK_MAXBODY", "WEBHOOK_MAX_BODY"),
        ("MESSAGE_BUFER_TIMEOUT", "MESSAGE_BUFFER_TIMEOUT"),
        ("AGENT_ULR", "AGENT_URL"),
        ("DURABILTY", "DURABILITY"),
        ("DURABILITY_TIMOUT", "DURABILITY_TIMEOUT"),
        ("RETRY_BASES", "RETRY_BASE"),
        ("REPLY_INDOUBT", "REPLY_IN_DOUBT"),
        ("TAKEOVER_PAUZE", "TAKEOVER_PAUSE"),
        ("SEND_REPLYS", "SEND_REPLIES"),
        ("MESSAGE_BUFFER_TYPING_TIMEOUT", "TYPING_HOLD"),
    ],
)
def test_misspelt_variable_is_refused(monkeypatch, wrong, right):
    """A variable that is nearly a setting stops the start instead of being ignored."""
    assert refusal(monkeypatch, **{wrong: "5"}) == f"{wrong} is not a setting; did you mean {right}?"


TOLD = [
    ("EVOLUTION_TOKEM", "EVOLUTION_TOKEN"),
    ("EVOLUTION_APIKEY", "EVOLUTION_API_KEY"),
    ("EVOLUTION_KEY", "EVOLUTION_API_KEY"),
    ("AGENTURL", "AGENT_URL"),
    ("GENERIC_TOKE", "GENERIC_TOKEN"),
    ("CHATWOOTTOKEN", "CHATWOOT_TOKEN"),
    ("META_APP_SECERT", "META_APP_SECRET"),
    ("PUBLIC_BASE_ULR", "PUBLIC_BASE_URL"),
]


@pytest.mark.parametrize(("wrong", "right"), TOLD)
@pytest.mark.parametrize("place", ["environment", "file"])
def test_name_near_a_setting_is_told(monkeypatch, tmp_path, wrong, right, place):
    """A name near a setting, in the environment or in the file, is told with the setting that was meant."""
    file = tmp_path / "env"
    file.write_text(f"{wrong}=x\n" if place == "file" else "", encoding="utf-8")
    if place == "environment":
        monkeypatch.setenv(wrong, "x")
    load_settings(env_file=str(file))
    [told] = [text for text in spelling_warnings(str(file)) if wrong in text]
    assert told.endswith(f"is not a setting and is ignored; did you mean {right}?")


def test_misspelt_name_in_the_file_is_refused(tmp_path):
    """What is refused in the environment is refused in the file, too."""
    (tmp_path / "env").write_text("MESSAGE_BUFER_TIMEOUT=5\nMESSAGE_BUFFER_TIMOUT=5\n", encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings(env_file=str(tmp_path / "env"))
    assert str(caught.value).count("did you mean MESSAGE_BUFFER_TIMEOUT?") == 2


def test_unknown_names_of_the_file_are_told_in_one_line(tmp_path):
    """Names of other programs in a shared file are one line, and those of docker-compose.yml none."""
    (tmp_path / "env").write_text(
        "POSTGRES_PASSWORD=x\nFOO=1\nPORT=1\nPUBLISH_PORT=1\nCOMPOSE_FILE=x\n", encoding="utf-8"
    )
    assert [
        text.partition(" in ")[0] + text[text.rindex(":") :] for text in spelling_warnings(str(tmp_path / "env"))
    ] == ["not settings, so ignored: FOO, POSTGRES_PASSWORD"]


@pytest.mark.parametrize(
    "name", ["REDIS_HOST", "REDIS_PORT", "AGENT_PORT_9000_TCP", "WORKER_SERVICE_HOST", "TOKEN", "HOSTS"]
)
def test_common_names_of_the_environment_are_not_told(monkeypatch, name):
    """Names that Kubernetes or other programs set are no misspelt settings."""
    monkeypatch.setenv(name, "x")
    load_settings(env_file=None)
    assert [text for text in spelling_warnings(None) if name in text] == []


def test_only_what_was_set_is_blamed(monkeypatch):
    """A window above the longest wait blames neither the hold, nor the longest wait as if it had been set."""
    [line] = refusal(monkeypatch, MESSAGE_BUFFER_TIMEOUT="90").splitlines()
    assert line.startswith("MESSAGE_BUFFER_TIMEOUT=90 must be less than MESSAGE_BUFFER_MAX_WAIT=60")
    assert line.endswith("MESSAGE_BUFFER_MAX_WAIT has its default here: set it, too")
    assert "default" not in refusal(monkeypatch, MESSAGE_BUFFER_TIMEOUT="90", MESSAGE_BUFFER_MAX_WAIT="80")


def test_milliseconds_are_noticed(monkeypatch):
    """A window of 8000 is shown to be seconds."""
    assert "durations are seconds; 8000 ms are 8" in refusal(monkeypatch, MESSAGE_BUFFER_TIMEOUT="8000")


@pytest.mark.parametrize("name", ["AGENT_NAME", "FLUSH_TOILET", "PATHS", "WEBHOOK_COLOUR"])
def test_other_programs_variables_are_left_alone(monkeypatch, name):
    """A variable that resembles no setting does not stop the start."""
    assert load(monkeypatch, **{name: "x"}) == load_settings(env_file=None)


def test_secrets_are_found():
    """The checks on secrets below look at every one of them."""
    assert set(SECRETS) >= {
        "agent_secret",
        "generic_token",
        "evolution_token",
        "evolution_jwt_key",
        "meta_app_secret",
        "meta_verify_token",
        "twilio_auth_token",
        "chatwoot_secret",
        "chatwoot_token",
        "admin_token",
    }


@pytest.mark.parametrize("name", SECRETS)
def test_secret_never_shows(monkeypatch, name):
    """A secret appears neither in repr nor in str nor in a dump, and is there when asked for."""
    settings = load(monkeypatch, **{name.upper(): "hunter2-secret"}, **NEEDED_WITH.get(name, {}))
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert "hunter2" not in shown
    assert getattr(settings, name).get_secret_value() == "hunter2-secret"


@pytest.mark.parametrize("name", ["REDIS_URL", "RQ_REDIS_URL", *ADDRESSES])
def test_password_in_an_address_never_shows(monkeypatch, name):
    """The password of an address appears neither in repr nor in the sentence that refuses the address."""
    scheme = "https" if name in ADDRESSES else "redis"
    assert "hunter2" not in repr(load(monkeypatch, **{name: f"{scheme}://:hunter2@host/"}))
    assert "hunter2" not in refusal(monkeypatch, **{name: "gopher://:hunter2@host/"})


def test_settings_cannot_be_changed(monkeypatch):
    """The object is frozen, so the values that were checked stay in force."""
    with pytest.raises(ValueError, match="frozen"):
        load(monkeypatch).port = 1


def test_durations_become_whole_milliseconds(monkeypatch):
    """Seconds with decimals become integers of milliseconds, and never zero."""
    settings = load(monkeypatch, MESSAGE_BUFFER_TIMEOUT="0.0001", MESSAGE_BUFFER_MAX_WAIT="1.2344")
    assert (settings.window_ms, settings.max_wait_ms) == (1, 1234)


def test_environment_wins_over_file(monkeypatch, tmp_path):
    """.env is read, and a variable of the environment wins over it."""
    (tmp_path / "env").write_text("PORT=9001\nLOG_LEVEL=debug\n", encoding="utf-8")
    monkeypatch.setenv("PORT", "9002")
    settings = load_settings(env_file=str(tmp_path / "env"))
    assert (settings.port, settings.log_level) == (9002, "DEBUG")
