"""The records of all gateways, and the header fields of a request."""

import re
from pathlib import Path

import pytest

from config.settings import Settings
from gateways.base import Headers
from gateways.registry import GATEWAYS


def test_every_gateway_has_its_own_name_and_fixtures():
    """The registry's names are the modules' names, and each foreign format has its recorded bodies."""
    fixtures = Path(__file__).parent.parent / "fixtures"
    assert {name: gateway.name for name, gateway in GATEWAYS.items()} == {name: name for name in GATEWAYS}
    assert all(any((fixtures / name).iterdir()) for name in GATEWAYS if name != "generic")


def test_header_fields_are_read_by_name():
    """A field is decoded as Latin-1, whatever bytes it has. An absent field gives the default."""
    fields = Headers({b"x-token": "é".encode()})
    assert fields.get("x-token", "") == "Ã©"
    assert (fields.get("é", ""), fields.get("x-other", "none")) == ("", "none")


@pytest.mark.parametrize("name", GATEWAYS)
def test_the_auth_hint_names_settings(name):
    """Each gateway's line in the banner names a setting of its own, and no name that is not a setting."""
    named = re.findall(r"[A-Z]+(?:_[A-Z]+)+", GATEWAYS[name].auth_hint)
    assert any(setting.startswith(f"{name.upper()}_") for setting in named)
    assert {setting.lower() for setting in named} <= Settings.model_fields.keys()
