"""What a breaker knows an agent by. Routes with the same address and login share it."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import urlsplit

from pydantic import SecretStr

from config.settings import Settings

IDENTITY = ("agent_url", "agent_secret", "agent_kind", "agent_key", "agent_model", "agent_params")
"""The settings that make an agent: an address may work with one key or model and not with another."""


class Circuit(NamedTuple):
    """The tag of an agent in Redis, and its address for people, without the path, which may be secret."""

    tag: str
    address: str


def circuit_of(settings: Settings) -> Circuit:
    """Return the circuit of the agent of a route. No setting can be read from the tag."""
    values = (getattr(settings, name) for name in IDENTITY)
    plain = [value.get_secret_value() if isinstance(value, SecretStr) else str(value or "") for value in values]
    tag = blake2b("\0".join(plain).encode(), digest_size=8).hexdigest()
    url = urlsplit(settings.agent_url or "")
    return Circuit(tag, f"{url.scheme}://{url.netloc.rpartition('@')[2]}")
