"""Evolution API v2 and Evolution Go, as far as replies need them."""

from __future__ import annotations

import re
from typing import Any, ClassVar
from urllib.parse import unquote

from tests.gateway_stubs.base import Delivery, GatewayStub, Received, Reply, Routes, Types, Wrong, fields_of

KEY = "the-key-of-the-instance"
OWN_ID = r"3EB0[0-9A-F]{18}"
ADDRESS = r"\d{8,15}|[\d-]+@g\.us|\d+@lid|\d{8,15}@s\.whatsapp\.net"


class EvolutionStub(GatewayStub):
    """Evolution v2. `takes_own_ids` is its behaviour from 2.4 on; before, it makes the id itself."""

    ROUTES: ClassVar[Routes] = {
        ("POST", r"/message/sendText/([^/]+)"): "send_text",
        ("POST", r"/message/sendMedia/([^/]+)"): "send_media",
        ("POST", r"/message/sendWhatsAppAudio/([^/]+)"): "send_audio",
        ("POST", r"/chat/sendPresence/([^/]+)"): "presence",
        ("POST", r"/chat/markMessageAsRead/([^/]+)"): "mark_read",
        ("GET", r"/instance/connectionState/([^/]+)"): "state",
    }
    ECHO_FIRST = True

    def __init__(self, instance: str = "loja") -> None:
        super().__init__()
        self.instance = instance
        self.takes_own_ids = True
        self.connection: str | None = "open"
        self.typing: list[str] = []
        self.read: list[str] = []

    def send_text(self, received: Received) -> Reply | Delivery:
        """Check and take a text."""
        optional = {"linkPreview": bool, "quoted": dict, "messageId": str, "mentioned": list}
        fields = self._checked(received, {"number": str, "text": str}, optional)
        if "quoted" in fields and not isinstance(fields["quoted"].get("key", {}).get("id"), str):
            raise Wrong("`quoted.key.id` must be a string")
        return self._delivery(fields, fields["text"], {"conversation": fields["text"]}, "text")

    def send_media(self, received: Received) -> Reply | Delivery:
        """Check and take a file."""
        required = {"number": str, "mediatype": str, "media": str}
        fields = self._checked(received, required, {"caption": str, "fileName": str, "messageId": str, "quoted": dict})
        if fields["mediatype"] not in ("image", "video", "document"):
            raise Wrong("`mediatype` must be image, video or document")
        if not fields["media"].startswith("https://"):
            raise Wrong("`media` must be an address")
        kind, caption = fields["mediatype"], fields.get("caption", "")
        return self._delivery(fields, caption, {f"{kind}Message": {"caption": caption}}, kind)

    def send_audio(self, received: Received) -> Reply | Delivery:
        """Check and take a voice message."""
        fields = self._checked(received, {"number": str, "audio": str}, {})
        return self._delivery(fields, "", {"audioMessage": {"ptt": True}}, "audio")

    def presence(self, received: Received) -> Reply:
        """Check a typing request."""
        fields = self._checked(received, {"number": str, "presence": str, "delay": int}, {})
        self.typing.append(fields["number"])
        return Reply(201, {"presence": fields["presence"]})

    def mark_read(self, received: Received) -> Reply:
        """Check a read receipt."""
        self._check_head(received)
        for key in fields_of(received, {"readMessages": list})["readMessages"]:
            if set(key) != {"remoteJid", "fromMe", "id"} or "@" not in key["remoteJid"]:
                raise Wrong("a read message has remoteJid (a full one), fromMe and id")
            self.read.append(key["id"])
        return Reply(201, {"message": "Read messages", "read": "success"})

    def state(self, received: Received) -> Reply:
        """Return the state of the instance."""
        self._check_head(received)
        state = {} if self.connection is None else {"state": self.connection}
        return Reply(200, {"instance": {"instanceName": self.instance} | state})

    def _check_head(self, received: Received) -> None:
        if received.headers.get("apikey") != KEY:
            raise Wrong("the header `apikey` must be the key")
        if unquote(received.found[0]) != self.instance:
            raise Wrong("the path must name the instance")

    def _checked(self, received: Received, required: Types, optional: Types) -> dict[str, Any]:
        self._check_head(received)
        fields = fields_of(received, required, optional)
        if not re.fullmatch(ADDRESS, fields["number"]):
            raise Wrong("`number` must be digits, a full jid or the id of a group")
        if "messageId" in fields and not re.fullmatch(OWN_ID, fields["messageId"]):
            raise Wrong("`messageId` must look like WhatsApp Web's own")
        return fields

    def _delivery(self, fields: dict[str, Any], text: str, message: dict[str, Any], kind: str) -> Delivery:
        own_id = fields.get("messageId") if self.takes_own_ids else None
        message_id = own_id or f"3EB0{len(self.requests):018X}"
        number = fields["number"]
        jid = number if "@" in number else f"{number}@s.whatsapp.net"
        data = {
            "key": {"remoteJid": jid, "fromMe": True, "id": message_id},
            "pushName": "",
            "status": "PENDING",
            "message": message,
            "messageType": next(iter(message)),
            "messageTimestamp": 1748250263,
            "instanceId": "188cbb13-bcb7-4d5a-979d-ba0fe75a3ee9",
            "source": "unknown",
        }
        echo = {"event": "send.message", "instance": self.instance, "data": data}
        return Delivery(number, text, message_id, Reply(201, data), own_id, (echo,), kind)


class EvolutionGoStub(GatewayStub):
    """Evolution Go. The token names the instance."""

    ROUTES: ClassVar[Routes] = {
        ("POST", r"/send/text"): "send_text",
        ("POST", r"/send/media"): "send_media",
        ("POST", r"/message/presence"): "presence",
        ("POST", r"/message/markread"): "mark_read",
        ("GET", r"/instance/status"): "state",
    }
    ECHO_FIRST = True

    def __init__(self, instance: str = "loja") -> None:
        super().__init__()
        self.instance = instance
        self.connected = True
        self.typing: list[str] = []
        self.read: list[str] = []

    def send_text(self, received: Received) -> Reply | Delivery:
        """Check and take a text."""
        fields = self._checked_send(received, {"text": str}, {"quoted": dict})
        if "quoted" in fields and set(fields["quoted"]) != {"messageId", "participant"}:
            raise Wrong("`quoted` has messageId and participant")
        return self._delivery(fields, fields["text"], {"conversation": fields["text"]}, "text")

    def send_media(self, received: Received) -> Reply | Delivery:
        """Check and take a file."""
        fields = self._checked_send(received, {"url": str, "type": str}, {"caption": str, "filename": str})
        if fields["type"] not in ("image", "video", "audio", "document"):
            raise Wrong("`type` must be image, video, audio or document")
        kind, caption = fields["type"], fields.get("caption", "")
        return self._delivery(fields, caption, {f"{kind}Message": {"caption": caption}}, kind)

    def presence(self, received: Received) -> Reply:
        """Check a typing request."""
        fields = self._checked(received, {"number": str, "state": str, "isAudio": bool}, {})
        self.typing.append(fields["number"])
        return Reply(200, {"message": "success"})

    def mark_read(self, received: Received) -> Reply:
        """Check a read receipt."""
        self.read += self._checked(received, {"number": str, "id": list}, {})["id"]
        return Reply(200, {"message": "success"})

    def state(self, received: Received) -> Reply:
        """Return the state of the instance."""
        self._check_key(received)
        return Reply(200, {"message": "success", "data": {"Connected": self.connected, "LoggedIn": True}})

    def _check_key(self, received: Received) -> None:
        if received.headers.get("apikey") != KEY:
            raise Wrong("the header `apikey` must be the token of the instance")

    def _checked_send(self, received: Received, required: Types, optional: Types) -> dict[str, Any]:
        """Return the fields. A full jid must come with `formatJid` false, or it would be rewritten."""
        fields = self._checked(received, {"number": str, "id": str, "formatJid": bool, **required}, optional)
        if "@" in fields["number"] and fields["formatJid"]:
            raise Wrong("`formatJid` must be false with a full jid")
        return fields

    def _checked(self, received: Received, required: Types, optional: Types) -> dict[str, Any]:
        self._check_key(received)
        fields = fields_of(received, required, optional)
        if not re.fullmatch(ADDRESS, fields["number"]):
            raise Wrong("`number` must be digits or a full jid")
        if isinstance(fields.get("id"), str) and not re.fullmatch(OWN_ID, fields["id"]):
            raise Wrong("`id` must be 3EB0 and 18 hexadecimal digits")
        return fields

    def _delivery(self, fields: dict[str, Any], text: str, message: dict[str, Any], kind: str) -> Delivery:
        info = {
            "Chat": fields["number"],
            "Sender": "5511900000000@s.whatsapp.net",
            "IsFromMe": True,
            "IsGroup": fields["number"].endswith("@g.us"),
            "ID": fields["id"],
            "Timestamp": "2025-06-12T19:08:21Z",
            "ServerID": 0,
            "Type": "ExtendedTextMessage",
        }
        data = {"Info": info, "Message": message}
        echo = {"event": "SendMessage", "instanceName": self.instance, "instanceToken": KEY, "data": data}
        reply = Reply(200, {"message": "success", "data": data})
        return Delivery(fields["number"], text, fields["id"], reply, fields["id"], (echo,), kind)
