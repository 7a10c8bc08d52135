"""Z-API, as far as replies need it."""

from __future__ import annotations

import re
from typing import Any, ClassVar
from urllib.parse import unquote

from tests.gateway_stubs.base import Delivery, GatewayStub, Received, Reply, Routes, Types, Wrong, fields_of

INSTANCE_TOKEN = "the-token-of-the-instance"
CLIENT_TOKEN = "the-token-of-the-account"
PHONE = r"\d{8,15}|[\d-]+-group|\d+@lid"
START = r"/instances/([^/]+)/token/([^/]+)"


class ZapiStub(GatewayStub):
    """Z-API: 200 means queued. With `holds` its queue keeps the messages, as when the phone is offline."""

    ROUTES: ClassVar[Routes] = {
        ("POST", START + r"/send-text"): "send_text",
        ("POST", START + r"/send-(image|video|audio)"): "send_file",
        ("POST", START + r"/send-document/([A-Za-z0-9]+)"): "send_document",
        ("POST", START + r"/read-message"): "mark_read",
        ("GET", START + r"/status"): "state",
    }

    def __init__(self, instance: str = "3E4F7360B552F0C2DBCB9E6774402775") -> None:
        super().__init__()
        self.instance = instance
        self.holds = False
        self.queue: list[Delivery] = []
        self.status: dict[str, Any] = {"connected": True, "smartphoneConnected": True, "error": None}
        self.read: list[str] = []

    def send_text(self, received: Received) -> Reply | Delivery:
        """Check and take a text."""
        optional = {"messageId": str, "delayTyping": int, "delayMessage": int}
        fields = self._checked(received, {"message": str}, optional)
        for name in ("delayTyping", "delayMessage"):
            if not 1 <= fields.get(name, 1) <= 15:
                raise Wrong(f"`{name}` must be 1 to 15 seconds")
        return self._delivery(fields, fields["message"], "text")

    def send_file(self, received: Received) -> Reply | Delivery:
        """Check and take an image, a video or a voice message."""
        kind = received.found[2]
        fields = self._checked(received, {kind: str}, {} if kind == "audio" else {"caption": str})
        return self._delivery(fields, fields.get("caption", ""), kind)

    def send_document(self, received: Received) -> Reply | Delivery:
        """Check and take a document."""
        return self._delivery(self._checked(received, {"document": str}, {"fileName": str}), "", "document")

    def mark_read(self, received: Received) -> Reply:
        """Check a read receipt."""
        self.read.append(self._checked(received, {"messageId": str}, {})["messageId"])
        return Reply(204, b"")

    def state(self, received: Received) -> Reply:
        """Return the state of the instance."""
        self._check_head(received)
        return Reply(200, self.status)

    def flush(self) -> None:
        """Deliver what the queue holds."""
        for delivery in self.queue:
            self._enter(delivery, 0)
        self.queue.clear()

    def _check_head(self, received: Received) -> None:
        if received.headers.get("client-token") != CLIENT_TOKEN:
            raise Wrong("the header `Client-Token` must be the token of the account")
        if (unquote(received.found[0]), unquote(received.found[1])) != (self.instance, INSTANCE_TOKEN):
            raise Wrong("the path must hold the id and the token of the instance")

    def _checked(self, received: Received, required: Types, optional: Types) -> dict[str, Any]:
        self._check_head(received)
        fields = fields_of(received, {"phone": str, **required}, optional)
        if not re.fullmatch(PHONE, fields["phone"]):
            raise Wrong("`phone` must be digits, an id with -group, or an address with @lid")
        return fields

    def _delivery(self, fields: dict[str, Any], text: str, kind: str) -> Reply | Delivery:
        message_id = f"D241{len(self.requests):018X}"
        echo = {
            "type": "ReceivedCallback",
            "instanceId": self.instance,
            "messageId": message_id,
            "phone": fields["phone"],
            "fromMe": True,
            "fromApi": True,
            "isGroup": fields["phone"].endswith("-group"),
            "momment": 1754011529000,
            "status": "SENT",
            "text": {"message": text},
        }
        reply = Reply(200, {"zaapId": f"Z{len(self.requests)}", "messageId": message_id, "id": message_id})
        delivery = Delivery(fields["phone"], text, message_id, reply, None, (echo,), kind)
        if not self.holds:
            return delivery
        self.queue.append(delivery)
        return reply
