"""WAHA, as far as replies need it."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal
from urllib.parse import unquote

from tests.gateway_stubs.base import Delivery, GatewayStub, Received, Reply, Routes, Types, Wrong, fields_of

KEY = "the-key-of-waha"
OWN_ID = r"3EB0[0-9A-F]{18}"
CHAT_ID = r"\d{8,15}@c\.us|\d+@lid|[\d-]+@g\.us"
Engine = Literal["NOWEB", "WEBJS", "GOWS", "EMPTY"]


class WahaStub(GatewayStub):
    """WAHA. `engine` is the form of its answers: three engines, and the WEBJS that answers with nothing."""

    ROUTES: ClassVar[Routes] = {
        ("POST", r"/api/sendText"): "send_text",
        ("POST", r"/api/sendImage"): "send_file",
        ("POST", r"/api/sendVideo"): "send_file",
        ("POST", r"/api/sendFile"): "send_file",
        ("POST", r"/api/sendVoice"): "send_voice",
        ("POST", r"/api/startTyping"): "type_now",
        ("POST", r"/api/stopTyping"): "type_now",
        ("POST", r"/api/sendSeen"): "seen",
        ("GET", r"/api/sessions/([^/]+)"): "state",
    }

    def __init__(self, session: str = "default") -> None:
        super().__init__()
        self.session = session
        self.engine: Engine = "NOWEB"
        self.status = "WORKING"
        self.typing: list[str] = []
        self.read: list[str] = []

    def send_text(self, received: Received) -> Reply | Delivery:
        """Check and take a text."""
        optional = {"id": str, "reply_to": str, "linkPreview": bool}
        fields = self._checked(received, {"text": str}, optional)
        if "id" in fields and not re.fullmatch(OWN_ID, fields["id"]):
            raise Wrong("`id` must be 3EB0 and 18 hexadecimal digits")
        return self._delivery(fields, fields["text"], "text")

    def send_file(self, received: Received) -> Reply | Delivery:
        """Check and take a file."""
        fields = self._checked(received, {"file": dict}, {"caption": str})
        self._check_file(fields["file"])
        return self._delivery(fields, fields.get("caption", ""), received.path.removeprefix("/api/send").lower())

    def send_voice(self, received: Received) -> Reply | Delivery:
        """Check and take a voice message."""
        fields = self._checked(received, {"file": dict, "convert": bool}, {})
        self._check_file(fields["file"])
        return self._delivery(fields, "", "voice")

    def type_now(self, received: Received) -> Reply:
        """Check a request that begins or ends typing."""
        self.typing.append(self._checked(received, {}, {})["chatId"])
        return Reply(201, {})

    def seen(self, received: Received) -> Reply:
        """Check a read receipt."""
        self.read.append(self._checked(received, {}, {})["chatId"])
        return Reply(201, {})

    def state(self, received: Received) -> Reply:
        """Return the state of the session."""
        self._check_key(received)
        if unquote(received.found[0]) != self.session:
            return Reply(404, {"message": "Session not found", "statusCode": 404})
        return Reply(200, {"name": self.session, "status": self.status})

    def _check_key(self, received: Received) -> None:
        if received.headers.get("x-api-key") != KEY:
            raise Wrong("the header `X-Api-Key` must be the key")

    def _check_file(self, file: dict[str, Any]) -> None:
        if not {"url", "mimetype"} <= set(file) <= {"url", "mimetype", "filename"}:
            raise Wrong("`file` has url, mimetype and filename")

    def _checked(self, received: Received, required: Types, optional: Types) -> dict[str, Any]:
        self._check_key(received)
        fields = fields_of(received, {"session": str, "chatId": str, **required}, optional)
        if fields["session"] != self.session:
            raise Wrong("`session` must be the session")
        if not re.fullmatch(CHAT_ID, fields["chatId"]):
            raise Wrong("`chatId` must end with @c.us, @lid or @g.us")
        return fields

    def _delivery(self, fields: dict[str, Any], text: str, kind: str) -> Delivery:
        bare_id = fields.get("id") or f"3EB0{len(self.requests):018X}"
        written = f"true_{fields['chatId']}_{bare_id}"
        if fields["chatId"].endswith("@g.us"):
            written += "_5511900000000@c.us"
        payload = {
            "id": written,
            "timestamp": 1741249702,
            "from": fields["chatId"],
            "fromMe": True,
            "source": "api",
            "to": fields["chatId"],
            "body": text,
            "hasMedia": kind != "text",
        }
        echo = {"event": "message.any", "session": self.session, "payload": payload, "engine": self.engine}
        answer = self._answer(fields["chatId"], bare_id, written)
        return Delivery(fields["chatId"], text, bare_id, answer, fields.get("id"), (echo,), kind)

    def _answer(self, chat: str, bare_id: str, written: str) -> Reply:
        if self.engine == "EMPTY":
            return Reply(201, b"")
        if self.engine == "GOWS":
            return Reply(201, {"id": written})
        if self.engine == "WEBJS":
            return Reply(201, {"id": {"fromMe": True, "remote": chat, "id": bare_id, "_serialized": written}})
        return Reply(201, {"key": {"remoteJid": chat, "fromMe": True, "id": bare_id}, "status": "PENDING"})
