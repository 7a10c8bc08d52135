"""Chatwoot, as far as replies need it."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from tests.gateway_stubs.base import Delivery, GatewayStub, Received, Reply, Routes, Wrong, fields_of

TOKEN = "the-token-of-chatwoot"
CONVERSATION = r"/api/v1/accounts/(\d+)/conversations/(\d+)"
NOT_FOR_BOTS = {"error": "Access to this endpoint is not authorized for bots"}


class ChatwootStub(GatewayStub):
    """Chatwoot. `owner` of the token: an agent bot, which may not type, or a user. `statuses` are by conversation.

    `external_error` is what the channel behind Chatwoot says when it fails after Chatwoot took a message.
    """

    ROUTES: ClassVar[Routes] = {
        ("POST", CONVERSATION + "/messages"): "send",
        ("POST", CONVERSATION + "/toggle_status"): "toggle_status",
        ("POST", CONVERSATION + "/toggle_typing_status"): "type_now",
        ("GET", "/api/v1/profile"): "profile",
    }
    TEXT_MAX = 150_000

    def __init__(self, account: str = "1", inbox: int = 29269) -> None:
        super().__init__()
        self.account = account
        self.inbox = inbox
        self.owner: Literal["agent_bot", "user"] = "agent_bot"
        self.statuses: dict[str, str] = {}
        self.external_error: str | None = None
        self.typing: list[str] = []

    def send(self, received: Received) -> Reply | Delivery:
        """Check and take a message."""
        required = {"content": str, "message_type": str, "private": bool}
        self._check_head(received)
        fields = fields_of(received, required, {"echo_id": str, "content_attributes": dict})
        if fields["message_type"] != "outgoing" or fields["private"]:
            raise Wrong("the message must be outgoing and not private")
        return self._delivery(fields, received.found[1])

    def toggle_status(self, received: Received) -> Reply:
        """Check a hand-over."""
        self._check_head(received)
        status = fields_of(received, {"status": str})["status"]
        if status not in ("open", "pending", "resolved", "snoozed"):
            raise Wrong("there is no such status")
        self.statuses[received.found[1]] = status
        payload = {"success": True, "current_status": status, "conversation_id": int(received.found[1])}
        return Reply(200, {"meta": {}, "payload": payload})

    def type_now(self, received: Received) -> Reply:
        """Check a typing request."""
        self._check_head(received)
        if fields_of(received, {"typing_status": str})["typing_status"] not in ("on", "off"):
            raise Wrong("`typing_status` must be on or off")
        if self.owner == "agent_bot":
            return Reply(401, NOT_FOR_BOTS)
        self.typing.append(received.found[1])
        return Reply(200, b"")

    def profile(self, received: Received) -> Reply:
        """Return the profile of the token's owner."""
        if received.headers.get("api_access_token") != TOKEN:
            return Reply(401, {"error": "Invalid Access Token"})
        return Reply(401, NOT_FOR_BOTS) if self.owner == "agent_bot" else Reply(200, {"id": 5, "name": "Bot"})

    def _check_head(self, received: Received) -> None:
        if received.headers.get("api_access_token") != TOKEN:
            raise Wrong("the header `api_access_token` must be the token")
        if received.found[0] != self.account:
            raise Wrong("the path must have the account of the conversation")

    def _delivery(self, fields: dict[str, Any], conversation: str) -> Delivery:
        message_id = 24_753_000 + len(self.requests)
        reply = {
            "id": message_id,
            "content": fields["content"],
            "conversation_id": int(conversation),
            "message_type": 1,
            "created_at": 1_774_000_000,
            "status": "sent",
            "source_id": None,
            "echo_id": fields.get("echo_id"),
        }
        echoes = [self._webhook("message_created", message_id, conversation, fields["content"])]
        if self.external_error is not None:
            failed = self._webhook("message_updated", message_id, conversation, fields["content"])
            failed |= {"status": "failed", "content_attributes": {"external_error": self.external_error}}
            echoes.append(failed)
        own_id, echo = fields.get("echo_id"), tuple(echoes)
        return Delivery(conversation, fields["content"], str(message_id), Reply(200, reply), own_id, echo)

    def _webhook(self, event: str, message_id: int, conversation: str, content: str) -> dict[str, Any]:
        return {
            "event": event,
            "id": message_id,
            "account": {"id": int(self.account), "name": "Loja"},
            "content": content,
            "content_attributes": {},
            "content_type": "text",
            "conversation": {"id": int(conversation), "inbox_id": self.inbox, "status": "pending", "messages": []},
            "created_at": "2026-03-20T09:46:40.000Z",
            "inbox": {"id": self.inbox, "name": "WhatsApp"},
            "message_type": "outgoing",
            "private": False,
            "sender": {"id": 5, "name": "Bot", "type": self.owner},
            "source_id": None,
        }
