"""Telegram's Bot API, as far as replies need it."""

from __future__ import annotations

import math
import time
from collections import defaultdict, deque
from typing import Any, ClassVar

from tests.gateway_stubs.base import Delivery, GatewayStub, Received, Reply, Routes, Types, Wrong, fields_of

TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
CAPTION_MAX = 1024
PLACE: Types = {"message_thread_id": int, "direct_messages_topic_id": int, "business_connection_id": str}


class TelegramStub(GatewayStub):
    """The Bot API. It has the limits of the real one: a message a second in a chat, 20 a minute in a group, 30 in all.

    `blocked_by` are the chats that have blocked the bot, `moved` the groups that have another id, `gone` the messages
    that cannot be quoted, `unloadable` the addresses of files that Telegram cannot load.
    """

    ROUTES: ClassVar[Routes] = {
        ("POST", r"/bot([^/]+)/sendMessage"): "send_text",
        ("POST", r"/bot([^/]+)/send(Photo|Voice|Audio|Video|Document)"): "send_file",
        ("POST", r"/bot([^/]+)/sendChatAction"): "act",
        ("POST", r"/bot([^/]+)/readBusinessMessage"): "mark_read",
        ("GET", r"/bot([^/]+)/getMe"): "get_me",
    }

    def __init__(self) -> None:
        super().__init__()
        self.blocked_by: set[int] = set()
        self.moved: dict[int, int] = {}
        self.gone: set[int] = set()
        self.unloadable: set[str] = set()
        self.limits_on = True
        self.typing: list[int] = []
        self.read: list[int] = []
        self._last_ids: dict[int, int] = defaultdict(int)
        self._sent_at: dict[int, deque[float]] = defaultdict(deque)

    def text_size(self, text: str) -> int:
        """Return the number of UTF-16 units."""
        return len(text.encode("utf-16-le")) // 2

    def send_text(self, received: Received) -> Reply | Delivery:
        """Check and take a text."""
        optional = {"reply_parameters": dict, "link_preview_options": dict}
        fields = self._checked(received, {"text": str}, optional)
        if self.text_size(fields["text"]) > self.TEXT_MAX:
            return self.error(400, "Bad Request: message is too long")
        return self._refused(fields) or self._delivery(fields, fields["text"], "text")

    def send_file(self, received: Received) -> Reply | Delivery:
        """Check and take a file."""
        name = received.found[1].lower()
        fields = self._checked(received, {name: str}, {"reply_parameters": dict, "caption": str})
        caption = fields.get("caption", "")
        if self.text_size(caption) > CAPTION_MAX:
            return self.error(400, "Bad Request: message caption is too long")
        if fields[name] in self.unloadable:
            return self.error(400, "Bad Request: failed to get HTTP URL content")
        return self._refused(fields) or self._delivery(fields, caption, name)

    def act(self, received: Received) -> Reply:
        """Check a typing request."""
        fields = self._checked(received, {"action": str}, {})
        if fields["action"] != "typing" or "direct_messages_topic_id" in fields:
            raise Wrong("the action must be typing, and not in messages to a channel")
        self.typing.append(fields["chat_id"])
        return Reply(200, {"ok": True, "result": True})

    def mark_read(self, received: Received) -> Reply:
        """Check a read receipt."""
        self._check_token(received)
        fields = fields_of(received, {"business_connection_id": str, "chat_id": int, "message_id": int})
        self.read.append(fields["message_id"])
        return Reply(200, {"ok": True, "result": True})

    def get_me(self, received: Received) -> Reply:
        """Return the bot."""
        self._check_token(received)
        return Reply(200, {"ok": True, "result": {"id": 110201543, "is_bot": True, "first_name": "Bot"}})

    @staticmethod
    def error(code: int, description: str, **parameters: Any) -> Reply:
        """Return an error in Telegram's form."""
        body = {"ok": False, "error_code": code, "description": description}
        return Reply(code, body | ({"parameters": parameters} if parameters else {}))

    def _check_token(self, received: Received) -> None:
        if received.found[0] != TOKEN:
            raise Wrong("the path must have the token as it is")

    def _checked(self, received: Received, required: Types, optional: Types) -> dict[str, Any]:
        self._check_token(received)
        fields = fields_of(received, {"chat_id": int, **required}, {**PLACE, **optional})
        quoted = fields.get("reply_parameters", {"message_id": 1, "allow_sending_without_reply": True})
        if set(quoted) != {"message_id", "allow_sending_without_reply"} or type(quoted["message_id"]) is not int:
            raise Wrong("`reply_parameters` has message_id, a number, and allow_sending_without_reply")
        if "message_thread_id" in fields and "direct_messages_topic_id" in fields:
            raise Wrong("a topic is one of a group or one of messages to a channel")
        return fields

    def _refused(self, fields: dict[str, Any]) -> Reply | None:
        chat = fields["chat_id"]
        if chat in self.blocked_by:
            return self.error(403, "Forbidden: bot was blocked by the user")
        if chat in self.moved:
            text = "Bad Request: group chat was upgraded to a supergroup chat"
            return self.error(400, text, migrate_to_chat_id=self.moved[chat])
        if fields.get("reply_parameters", {}).get("message_id") in self.gone:
            return self.error(400, "Bad Request: message to be replied not found")
        wait_s = self._wait_s(chat) if self.limits_on else 0.0
        if wait_s > 0:
            return self.error(429, "Too Many Requests: retry after", retry_after=max(1, math.ceil(wait_s)))
        self._sent_at[chat].append(time.monotonic())
        return None

    def _wait_s(self, chat: int) -> float:
        """Return how long a message to a chat has to wait, 0 if it may go now."""
        now_s, here = time.monotonic(), self._sent_at[chat]
        everywhere = sorted(at_s for chat_times in self._sent_at.values() for at_s in chat_times)
        waits = [1 - (now_s - at_s) for at_s in list(here)[-1:]]
        waits += [1 - (now_s - at_s) for at_s in everywhere[-30:-29]]
        waits += [60 - (now_s - at_s) for at_s in list(here)[-20:-19] if chat < 0]
        return max(waits, default=0.0)

    def _delivery(self, fields: dict[str, Any], text: str, kind: str) -> Delivery:
        chat = fields["chat_id"]
        self._last_ids[chat] += 1
        result = {
            "message_id": self._last_ids[chat],
            "from": {"id": 110201543, "is_bot": True, "first_name": "Bot"},
            "chat": {"id": chat, "type": "private" if chat > 0 else "supergroup"},
            "date": 1753164395,
            "text": text,
        }
        place = "".join(f"/{name}={fields[name]}" for name in sorted(PLACE) if name in fields)
        reply = Reply(200, {"ok": True, "result": result})
        return Delivery(f"{chat}{place}", text, f"{chat}:{result['message_id']}", reply, None, (), kind)
