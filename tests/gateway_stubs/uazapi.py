"""uazapi, as far as replies need it."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from tests.gateway_stubs.base import Delivery, GatewayStub, Received, Reply, Routes, Types, Wrong, fields_of

KEY = "the-token-of-the-instance"
OWNER = "5511900000000"
NUMBER = r"\d{8,15}|[\d-]+@g\.us|\d+@lid"


class UazapiStub(GatewayStub):
    """uazapi. It replaces `{{…}}` in a text as the real one does, and calls that a violation."""

    ROUTES: ClassVar[Routes] = {
        ("POST", r"/send/text"): "send_text",
        ("POST", r"/send/media"): "send_media",
        ("POST", r"/message/presence"): "presence",
        ("POST", r"/message/markread"): "mark_read",
        ("GET", r"/instance/status"): "state",
    }

    def __init__(self, instance: str = "eKoB39") -> None:
        super().__init__()
        self.instance = instance
        self.connected = True
        self.typing: list[str] = []
        self.read: list[str] = []

    def send_text(self, received: Received) -> Reply | Delivery:
        """Check and take a text."""
        optional: dict[str, type] = dict.fromkeys(("linkPreview", "readchat", "async"), bool)
        optional |= {"delay": int, "replyid": str, "track_source": str, "track_id": str}
        fields = self._checked(received, {"number": str, "text": str}, optional)
        if fields.get("async"):
            raise Wrong("`async` answers before the send")
        return self._delivery(fields, fields["text"], "text")

    def send_media(self, received: Received) -> Reply | Delivery:
        """Check and take a file."""
        optional = {"text": str, "docName": str, "track_source": str, "track_id": str}
        fields = self._checked(received, {"number": str, "type": str, "file": str}, optional)
        if fields["type"] not in ("image", "video", "document", "audio", "ptt"):
            raise Wrong("`type` must be image, video, document, audio or ptt")
        return self._delivery(fields, fields.get("text", ""), fields["type"])

    def presence(self, received: Received) -> Reply:
        """Check a typing request."""
        fields = self._checked(received, {"number": str, "presence": str, "delay": int}, {})
        if fields["delay"] > 300_000:
            raise Wrong("`delay` is at most 5 minutes")
        self.typing.append(fields["number"])
        return Reply(200, {"response": "ok"})

    def mark_read(self, received: Received) -> Reply:
        """Check a read receipt."""
        self._check_key(received)
        self.read += fields_of(received, {"id": list})["id"]
        return Reply(200, {"response": "ok"})

    def state(self, received: Received) -> Reply:
        """Return the state of the instance."""
        self._check_key(received)
        word = "connected" if self.connected else "disconnected"
        return Reply(200, {"instance": {"status": word}, "status": {"connected": self.connected}})

    def _check_key(self, received: Received) -> None:
        if received.headers.get("token") != KEY:
            raise Wrong("the header `token` must be the token of the instance")

    def _checked(self, received: Received, required: Types, optional: Types) -> dict[str, Any]:
        self._check_key(received)
        fields = fields_of(received, required, optional)
        if not re.fullmatch(NUMBER, fields["number"]):
            raise Wrong("`number` must be digits, the id of a group, or an address with @lid")
        return fields

    def _delivery(self, fields: dict[str, Any], text: str, kind: str) -> Delivery:
        shown = re.sub(r"\{\{[^}]*\}\}", "", text)
        if shown != text:
            self.violations.append("the text was taken for a template and changed")
        message_id = f"3EB0{len(self.requests):018X}"
        message = {
            "id": f"{OWNER}:{message_id}",
            "messageid": message_id,
            "chatid": fields["number"] if "@" in fields["number"] else f"{fields['number']}@s.whatsapp.net",
            "fromMe": True,
            "wasSentByApi": True,
            "messageTimestamp": 1770146755000,
            "messageType": "Conversation",
            "content": shown,
            "text": shown,
            "status": "Pending",
            "track_source": fields.get("track_source", ""),
            "track_id": fields.get("track_id", ""),
        }
        echo = {"EventType": "messages", "instanceName": self.instance, "owner": OWNER, "message": message}
        own_id = fields.get("track_id")
        return Delivery(fields["number"], shown, message_id, Reply(200, message), own_id, (echo,), kind)
