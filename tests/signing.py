"""Requests as the gateways sign them, with one secret for all."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.recorded_bodies import SECRETS as RECORDED
from tests.webhook_client import PUBLIC_BASE_URL

SECRET = "a-secret-of-the-tests"
OPEN: dict[str, Any] = dict.fromkeys((*RECORDED.values(), "generic_token", "meta_verify_token"), SECRET)
OPEN["public_base_url"] = PUBLIC_BASE_URL
"""The settings that open every gateway to it."""


class Signed(NamedTuple):
    """The path to post a body to, and the headers with its token or signature."""

    path: str
    headers: dict[str, str]


def sign(gateway: str, path: str, body: bytes) -> Signed:
    """Sign a body, or add the token if the gateway has no signatures."""
    signer = SIGNERS.get(gateway)
    return signer(path, body) if signer else Signed(path, {"Authorization": f"Bearer {SECRET}"})


def digest_of(signed: bytes, algorithm: str = "sha256") -> str:
    """Return the signature of these bytes in hexadecimal."""
    return hmac.digest(SECRET.encode(), signed, algorithm).hex()


def _meta(path: str, body: bytes) -> Signed:
    return Signed(path, {"X-Hub-Signature-256": f"sha256={digest_of(body)}"})


def _waha(path: str, body: bytes) -> Signed:
    return Signed(path, {"X-Webhook-Hmac": digest_of(body, "sha512")})


def _chatwoot(path: str, body: bytes) -> Signed:
    return Signed(path, {"X-Chatwoot-Timestamp": "1", "X-Chatwoot-Signature": f"sha256={digest_of(b'1.' + body)}"})


def _twilio(path: str, body: bytes) -> Signed:
    """Sign an address with the hash of the body in it, because then the body need not be a form."""
    path += f"{'&' if '?' in path else '?'}bodySHA256={hashlib.sha256(body).hexdigest()}"
    digest = hmac.digest(SECRET.encode(), f"{PUBLIC_BASE_URL}{path}".encode(), "sha1")
    return Signed(path, {"X-Twilio-Signature": base64.b64encode(digest).decode()})


SIGNERS: dict[str, Callable[[str, bytes], Signed]] = {
    "meta": _meta,
    "waha": _waha,
    "chatwoot": _chatwoot,
    "twilio": _twilio,
}
