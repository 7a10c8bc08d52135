"""Where replies are sent: the settings that each gateway needs, and the sentence about those that are missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from config.reply_credentials import REPLY_CREDENTIALS
from config.settings import Settings, load_settings
from gateways.registry import GATEWAYS
from gateways.sending import Target
from gateways.targets import missing_credentials, target_of, why_not_sent

PAGE = Path(__file__).parents[2] / "docs" / "gateways.md"
BASE = {"public_base_url": "https://bot.example.com"}
COMPLETE: dict[str, dict[str, object]] = {
    "generic": {"generic_reply_url": "https://bot.example.com/replies"},
    "evolution": {"evolution_url": "https://evo.example.com/", "evolution_api_key": "k"},
    "meta": {"meta_access_token": "k"},
    "twilio": {"twilio_auth_token": "k", "twilio_account_sid": "AC0", **BASE},
    "chatwoot": {"chatwoot_url": "https://desk.example.com", "chatwoot_api_token": "k"},
    "waha": {"waha_url": "http://waha:3000", "waha_api_key": "k"},
    "zapi": {"zapi_instance_token": "i", "zapi_client_token": "k"},
    "uazapi": {"uazapi_url": "https://free.uazapi.com", "uazapi_token": "k"},
    "telegram": {"telegram_bot_token": "k"},
}
TARGETS = {
    "generic": Target("https://bot.example.com/replies", ""),
    "evolution": Target("https://evo.example.com", "k", "v2"),
    "meta": Target("https://graph.facebook.com/v26.0", "k"),
    "twilio": Target("https://api.twilio.com", "k", "AC0", callback_url="https://bot.example.com"),
    "chatwoot": Target("https://desk.example.com", "k"),
    "waha": Target("http://waha:3000", "k"),
    "zapi": Target("https://api.z-api.io", "k", "i"),
    "uazapi": Target("https://free.uazapi.com", "k"),
    "telegram": Target("https://api.telegram.org", "k"),
}
MISSING = {
    "generic": ["GENERIC_REPLY_URL"],
    "evolution": ["EVOLUTION_URL", "EVOLUTION_API_KEY"],
    "meta": ["META_ACCESS_TOKEN"],
    "twilio": ["TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"],
    "chatwoot": ["CHATWOOT_URL", "CHATWOOT_API_TOKEN"],
    "waha": ["WAHA_URL", "WAHA_API_KEY"],
    "zapi": ["ZAPI_INSTANCE_TOKEN", "ZAPI_CLIENT_TOKEN"],
    "uazapi": ["UAZAPI_URL", "UAZAPI_TOKEN"],
    "telegram": ["TELEGRAM_BOT_TOKEN"],
}


@pytest.fixture(autouse=True)
def _no_stray_settings(monkeypatch):
    """The developer's own environment cannot change a result."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def settings(**values: object) -> Settings:
    return load_settings(env_file=None, **values)


def test_every_gateway_has_its_credentials():
    """Each gateway that receives messages is one that can be told where replies go."""
    assert set(REPLY_CREDENTIALS) == set(GATEWAYS) != set()
    assert set(COMPLETE) == set(TARGETS) == set(MISSING) == set(GATEWAYS)


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_target_has_address_and_secrets(gateway):
    """With its settings a gateway has a target: the address without a last slash, the secret, the second name."""
    assert target_of(settings(**COMPLETE[gateway]), gateway) == TARGETS[gateway]
    assert why_not_sent(settings(**COMPLETE[gateway]), gateway) is None


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_missing_settings_are_named(gateway):
    """Without them there is no target, and one sentence names all that must be set."""
    assert target_of(settings(), gateway) is None
    assert missing_credentials(settings(), gateway) == MISSING[gateway]
    assert why_not_sent(settings(), gateway) == f"answers are not sent: set {' and '.join(MISSING[gateway])}"


@pytest.mark.parametrize("gateway", [name for name in GATEWAYS if len(MISSING[name]) > 1])
def test_one_missing_setting_is_enough(gateway):
    """Half of the credentials are none."""
    first = MISSING[gateway][0].lower()
    values = {name: value for name, value in COMPLETE[gateway].items() if name != first}
    assert target_of(settings(**values), gateway) is None
    assert missing_credentials(settings(**values), gateway) == [first.upper()]


def test_sending_can_be_switched_off():
    """SEND_REPLIES=off sends nothing, whatever is set, and says so."""
    off = settings(send_replies="off", **COMPLETE["evolution"])
    assert target_of(off, "evolution") is None
    assert why_not_sent(off, "evolution") == "answers are not sent: SEND_REPLIES=off"


def test_the_target_knows_where_reports_go():
    """It is PUBLIC_BASE_URL without a slash at its end, and nothing without it."""
    about = {"telegram_bot_token": "t"}
    assert target_of(Settings(_env_file=None, **about), "telegram").callback_url == ""
    settings = Settings(_env_file=None, **about, public_base_url="https://bot.example.com/")
    assert target_of(settings, "telegram").callback_url == "https://bot.example.com"


def test_only_a_generic_receiver_can_know_repeated_keys():
    """GENERIC_REPLY_IDEMPOTENT speaks of the generic gateway's receiver, not of any other gateway."""
    values = {**COMPLETE["generic"], **COMPLETE["evolution"], "generic_reply_idempotent": True}
    assert [target_of(settings(**values), name).idempotent for name in ("generic", "evolution")] == [True, False]


def test_the_page_names_the_settings():
    """The table of docs/gateways.md has one row for each gateway, with the settings that it needs."""
    section = PAGE.read_text(encoding="utf-8").partition("## Credentials for replies")[2].partition("\n## ")[0]
    rows = {
        found[1]: set(re.findall(r"`([A-Z_]+)`", found[0])) for found in re.finditer(r"^\| `(\w+)` .*$", section, re.M)
    }
    named = {gateway: {c.url, c.secret, c.account} - {None} for gateway, c in REPLY_CREDENTIALS.items()}
    assert rows == {gateway: {name.upper() for name in names} for gateway, names in named.items()}
