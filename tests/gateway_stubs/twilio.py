"""Twilio's Programmable Messaging, as far as replies need it."""

from __future__ import annotations

import base64
import hmac
import re
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qsl, urlencode

from tests.gateway_stubs.base import Delivery, GatewayStub, Received, Reply, Routes, Wrong

ACCOUNT = "AC00000000000000000000000000000001"
TOKEN = "the-auth-token-of-twilio"
ADDRESS = r"(whatsapp:)?\+?[0-9]{5,15}|whatsapp:[A-Z]{2}\.\w+"


class Callback(NamedTuple):
    """A status callback as Twilio posts it: signed over the address with its query, and the form."""

    url: str
    headers: dict[str, str]
    body: bytes


class TwilioStub(GatewayStub):
    """Twilio. `fails_late` is the code with which messages fail after they were queued."""

    ROUTES: ClassVar[Routes] = {
        ("POST", r"/2010-04-01/Accounts/([^/]+)/Messages\.json"): "send",
        ("POST", r"/v2/Indicators/Typing\.json"): "type_now",
        ("GET", r"/2010-04-01/Accounts/([^/]+)\.json"): "account",
    }
    TEXT_MAX = 1600

    def __init__(self) -> None:
        super().__init__()
        self.fails_late: int | None = None
        self.status = "active"
        self.typing: list[str] = []

    def text_size(self, text: str) -> int:
        """Return the number of UTF-16 units."""
        return len(text.encode("utf-16-le")) // 2

    def send(self, received: Received) -> Reply | Delivery:
        """Check and take a message."""
        form = self._form(received, {"From", "To"}, {"Body", "MediaUrl", "StatusCallback"})
        if received.found[0] != ACCOUNT:
            raise Wrong("the path must have the account")
        for name in ("From", "To"):
            if not re.fullmatch(ADDRESS, form[name]):
                raise Wrong(f"`{name}` must be an address as it came")
        if form["From"].startswith("whatsapp:") is not form["To"].startswith("whatsapp:"):
            raise Wrong("both addresses must be of WhatsApp, or none")
        if not form.get("Body") and not form.get("MediaUrl"):
            return self.error(400, 21619, "A text message body or media urls must be specified.")
        if self.text_size(form.get("Body", "")) > self.TEXT_MAX:
            return self.error(400, 21617, "The concatenated message body exceeds the 1600 character limit")
        return self._delivery(form)

    def type_now(self, received: Received) -> Reply:
        """Check a typing request."""
        form = self._form(received, {"messageId", "channel"}, set())
        if form["channel"] != "whatsapp" or not re.fullmatch(r"(SM|MM)\w+", form["messageId"]):
            raise Wrong("the request must have the id of a message of the person, and the channel whatsapp")
        self.typing.append(form["messageId"])
        return Reply(200, {"success": True})

    def account(self, received: Received) -> Reply:
        """Return the account."""
        self._check_head(received)
        return Reply(200, {"sid": ACCOUNT, "status": self.status})

    @staticmethod
    def error(status: int, code: int, message: str) -> Reply:
        """Return an error in Twilio's form."""
        more = f"https://www.twilio.com/docs/errors/{code}"
        return Reply(status, {"code": code, "message": message, "more_info": more, "status": status})

    def _check_head(self, received: Received) -> None:
        expected = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        if received.headers.get("authorization") != f"Basic {expected}":
            raise Wrong("the header `Authorization` must be Basic with account and token")

    def _form(self, received: Received, required: set[str], optional: set[str]) -> dict[str, str]:
        self._check_head(received)
        if received.headers.get("content-type") != "application/x-www-form-urlencoded":
            raise Wrong("the body must be a form")
        pairs = parse_qsl(received.body.decode(), keep_blank_values=True, strict_parsing=True)
        form = dict(pairs)
        if len(form) != len(pairs) or not required <= set(form) <= required | optional:
            raise Wrong(f"the form has {sorted(form)}: it must have {sorted(required)} and may have {sorted(optional)}")
        return form

    def _delivery(self, form: dict[str, str]) -> Delivery:
        message_id, callback = f"SM{len(self.requests):032x}", form.get("StatusCallback", "")
        states = ("sent", "delivered") if self.fails_late is None else ("undelivered",)
        echoes = tuple(self._callback(callback, message_id, state, form) for state in states) if callback else ()
        reply = {
            "sid": message_id,
            "status": "queued",
            "error_code": None,
            "error_message": None,
            "num_segments": "1",
            "from": form["From"],
            "to": form["To"],
            "body": form.get("Body", ""),
        }
        kind, own_id = "media" if "MediaUrl" in form else "text", callback.partition("?")[2] or None
        return Delivery(form["To"], form.get("Body", ""), message_id, Reply(201, reply), own_id, echoes, kind)

    def _callback(self, url: str, message_id: str, state: str, form: dict[str, str]) -> Callback:
        fields: dict[str, Any] = {
            "MessageSid": message_id,
            "SmsSid": message_id,
            "MessageStatus": state,
            "SmsStatus": state,
            "From": form["From"],
            "To": form["To"],
            "AccountSid": ACCOUNT,
            "ApiVersion": "2010-04-01",
        }
        if state == "undelivered":
            fields["ErrorCode"] = str(self.fails_late)
        signed = url + "".join(name + fields[name] for name in sorted(fields))
        signature = base64.b64encode(hmac.digest(TOKEN.encode(), signed.encode(), "sha1")).decode()
        headers = {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"}
        return Callback(url, headers, urlencode(fields).encode())
