"""Where the replies of a gateway are sent, and what is missing for it."""

from __future__ import annotations

from pydantic import SecretStr

from config.reply_credentials import REPLY_CREDENTIALS
from config.settings import Settings
from gateways.sending import Target

SHARED = ("twilio_auth_token", "uazapi_token")
"""Secrets that open the webhook, too."""


def target_of(settings: Settings, gateway: str) -> Target | None:
    """Return where and with which secrets a gateway's replies are sent. None if they are not sent."""
    if settings.send_replies == "off" or missing_credentials(settings, gateway):
        return None
    names = REPLY_CREDENTIALS[gateway]
    return Target(
        _text(settings, names.url),
        _text(settings, names.secret),
        _text(settings, names.account) if names.account else "",
        idempotent=gateway == "generic" and settings.generic_reply_idempotent,
        callback_url=settings.public_base_url or "",
    )


def missing_credentials(settings: Settings, gateway: str) -> list[str]:
    """Return the names of the settings that are not set and without which no reply can be sent."""
    return [name.upper() for name in REPLY_CREDENTIALS[gateway].needed() if not _text(settings, name)]


def has_some_credentials(settings: Settings, gateway: str) -> bool:
    """Return True if a setting is set that only replies need: somebody wants them to be sent."""
    needed = set(REPLY_CREDENTIALS[gateway].needed()).difference(SHARED)
    return any(_text(settings, name) for name in needed if Settings.model_fields[name].default is None)


def why_not_sent(settings: Settings, gateway: str) -> str | None:
    """Return why the answers to a gateway's messages are not sent, in one sentence. None if they are sent."""
    if settings.send_replies == "off":
        return "answers are not sent: SEND_REPLIES=off"
    missing = missing_credentials(settings, gateway)
    return f"answers are not sent: set {' and '.join(missing)}" if missing else None


def _text(settings: Settings, name: str) -> str:
    """Return a setting as text, empty if it is not set."""
    value = getattr(settings, name)
    return value.get_secret_value() if isinstance(value, SecretStr) else value or ""
