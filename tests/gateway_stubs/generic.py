"""A receiver of generic replies."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import Any, ClassVar

from tests.gateway_stubs.base import Delivery, GatewayStub, Received, Reply, Routes, Wrong, fields_of

KEY = b"the-key-of-the-receiver-of-parts"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
SIGNED_WITHIN_S = 300
KINDS = ("text", "image", "audio", "video", "document")


class GenericStub(GatewayStub):
    """A receiver that verifies the signature and, with `idempotent`, knows a repeated key and does nothing then."""

    ROUTES: ClassVar[Routes] = {("POST", r"/replies"): "take"}
    TEXT_MAX = 65_536

    def __init__(self) -> None:
        super().__init__()
        self.idempotent = False
        self._done: dict[str, dict[str, Any]] = {}

    def take(self, received: Received) -> Reply | Delivery:
        """Check and take a part."""
        self._check_signature(received)
        key = received.headers.get("idempotency-key", "")
        fields = self._checked(received, key)
        if self.idempotent and key in self._done:
            return Reply(200, self._done[key])
        self._done[key] = {"message_id": f"R{len(self.requests)}"}
        return self._delivery(fields, key)

    def _checked(self, received: Received, key: str) -> dict[str, Any]:
        required = {"conversation": str, "channel": str, "part": int, "parts": int}
        optional = dict.fromkeys((*KINDS, "caption", "filename", "in_reply_to"), str)
        fields = fields_of(received, required, optional)
        if len([name for name in KINDS if name in fields]) != 1:
            raise Wrong("a part has exactly one content")
        if not key.endswith(f".{fields['part']}") or not 1 <= fields["part"] <= fields["parts"]:
            raise Wrong("the key must end with the number of the part, which is at most that of the parts")
        return fields

    def _check_signature(self, received: Received) -> None:
        message_id, timestamp = (received.headers.get(name, "") for name in ("webhook-id", "webhook-timestamp"))
        digest = hmac.digest(KEY, f"{message_id}.{timestamp}.".encode() + received.body, hashlib.sha256)
        if received.headers.get("webhook-signature") != "v1," + base64.b64encode(digest).decode():
            raise Wrong("the signature must be that of id, timestamp and body")
        if message_id != received.headers.get("idempotency-key"):
            raise Wrong("`webhook-id` must be the Idempotency-Key")
        if abs(time.time() - int(timestamp)) > SIGNED_WITHIN_S:
            raise Wrong("the signature must be recent")

    def _delivery(self, fields: dict[str, Any], key: str) -> Delivery:
        kind = next(name for name in KINDS if name in fields)
        text = fields["text"] if kind == "text" else fields.get("caption", "")
        echo = {"conversation": fields["conversation"], "channel": fields["channel"], "from_me": True, "via": "api"}
        echo |= {"message_id": self._done[key]["message_id"], "text": text}
        reply, person = Reply(200, self._done[key]), fields["conversation"]
        return Delivery(person, text, self._done[key]["message_id"], reply, key, (echo,) if text else (), kind)
