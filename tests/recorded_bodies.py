"""The recorded bodies of tests/fixtures: each request, its secret, and the events that are expected of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from buffer.models import DeliveryStatus, Event, Ignored
from gateways.registry import GATEWAYS

FIXTURES = Path(__file__).parent / "fixtures"
SECRETS = {
    "evolution": "evolution_token",
    "meta": "meta_app_secret",
    "twilio": "twilio_auth_token",
    "chatwoot": "chatwoot_secret",
    "waha": "waha_hmac_key",
    "zapi": "zapi_token",
    "uazapi": "uazapi_token",
    "telegram": "telegram_secret_token",
}
"""The setting that opens a gateway."""

FORMS = {"twilio"}
"""Gateways whose bodies are forms."""

CASES = sorted(
    (name, path.name.removesuffix(".headers.json"))
    for name in GATEWAYS
    for path in (FIXTURES / name).glob("*.headers.json")
)

FIELD = FIXTURES / "field"
FIELD_CASES = sorted((path.parent.name, path.stem) for path in FIELD.glob("*/*.json"))
"""Bodies that people met in the field, several in one file, with what their parser must return."""

CORRECTED: dict[tuple[str, str], dict[str, Any]] = {
    # the body has the name that the file really had, the expectation another
    ("uazapi", "document"): {"filename": "Cata\u0301logo Fittivirtual PDF.pdf"},
}
"""What is expected of the media of a case, where its expectation does not fit its body."""


def described(gateway: str, case: str) -> dict[str, Any]:
    """Return the request of a case: method, path, headers, secret, and the expected status."""
    return dict(json.loads((FIXTURES / gateway / f"{case}.headers.json").read_bytes()))


def body_of(gateway: str, case: str) -> bytes:
    """Return the body of a case, byte for byte."""
    return (FIXTURES / gateway / f"{case}.{'form' if gateway in FORMS else 'json'}").read_bytes()


def field_case(gateway: str, case: str) -> dict[str, Any]:
    """Return the `bodies` of a case of the field in their order, and what is `expected` of each."""
    return dict(json.loads((FIELD / gateway / f"{case}.json").read_bytes()))


def expected_of(gateway: str, case: str) -> Any:
    """Return the expected events of a case. A channel that the body does not have comes from the path."""
    expected = json.loads((FIXTURES / gateway / f"{case}.expected.json").read_bytes())
    tail = urlsplit(described(gateway, case)["path"]).path.removeprefix(f"/webhooks/{gateway}").strip("/")
    for one in expected if isinstance(expected, list) else expected.values():
        one["channel"] = one["channel"] or tail
    for name, value in CORRECTED.get((gateway, case), {}).items():
        expected[0]["media"][name] = value
    return expected


def heard(events: Iterable[Event]) -> list[Event]:
    """Return the events about what people said: those of a parser without reports and without what it ignores."""
    return [event for event in events if not isinstance(event, Ignored | DeliveryStatus)]


def opened_by(gateway: str, auth: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a service that a case was sent to."""
    called = urlsplit(auth.get("url", "https://bot.example.com"))
    return {"public_base_url": f"{called.scheme}://{called.netloc}", SECRETS[gateway]: auth["secret"]}
