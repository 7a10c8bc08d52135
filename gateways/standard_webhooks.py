"""Signs a request by the Standard Webhooks specification, version 1 (symmetric)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

SIGNING_ONLY = "whsec_"
"""The beginning of a secret in the specification's form, which is never sent to anybody."""


def signature_headers(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """Return the three headers of the specification."""
    timestamp = str(timestamp_s)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": sign(key, message_id, timestamp, body),
    }


def sign(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """Return the `webhook-signature`."""
    content = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def signing_key(secret: str) -> bytes:
    """Decode `whsec_<base64>`, the specification's form. Any other secret is used as it is."""
    if secret.startswith(SIGNING_ONLY):
        try:
            return base64.b64decode(secret.removeprefix(SIGNING_ONLY), validate=True)
        except binascii.Error:
            pass
    return secret.encode()
