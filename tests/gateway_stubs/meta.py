"""Meta's WhatsApp Cloud API, as far as replies need it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, ClassVar

from tests.gateway_stubs.base import Delivery, GatewayStub, Received, Reply, Routes, Wrong, fields_of

TOKEN = "the-access-token-of-meta"
WINDOW_S = 86_400.0
PAIR_INTERVAL_S = 6.0
KINDS = ("text", "image", "audio", "video", "document")
USER_ID = r"[A-Z]{2}\.[A-Za-z0-9.]+"
FILE_FIELDS = {"image": {"caption"}, "video": {"caption"}, "document": {"caption", "filename"}, "audio": set[str]()}


class MetaStub(GatewayStub):
    """The Cloud API. It knows when a person wrote last, refuses after 24 hours, and limits how often one gets messages.

    `last_inbound` is in seconds of `clock`; of others it is taken that they have just written. `fails_late` is the code
    with which messages fail after they were taken.
    """

    ROUTES: ClassVar[Routes] = {
        ("POST", r"/v\d+\.\d+/(\d+)/messages"): "post",
        ("GET", r"/v\d+\.\d+/(\d+)"): "number",
    }

    def __init__(self, number_id: str = "106540352242922") -> None:
        super().__init__()
        self.number_id = number_id
        self.clock: Callable[[], float] = time.time
        self.last_inbound: dict[str, float] = {}
        self.pair_burst = 45
        self.fails_late: int | None = None
        self.typing: list[str] = []
        self.read: list[str] = []
        self._pairs: dict[str, float] = {}

    @property
    def base(self) -> str:
        """Return the address with its version."""
        return f"{self.url}/v26.0"

    def post(self, received: Received) -> Reply | Delivery:
        """Check and take a message or a read receipt, which have the same path."""
        self._check_head(received)
        if isinstance(received.json, dict) and received.json.get("status") == "read":
            return self._mark_read(received)
        fields = self._checked(received)
        person = fields.get("to") or fields["recipient"]
        return self._refused(person) or self._delivery(fields, person)

    def number(self, received: Received) -> Reply:
        """Return the phone number."""
        self._check_head(received)
        return Reply(200, {"id": self.number_id, "display_phone_number": "15550783881"})

    def _check_head(self, received: Received) -> None:
        if received.headers.get("authorization") != f"Bearer {TOKEN}":
            raise Wrong("the header `Authorization` must be Bearer and the token")
        if received.found[0] != self.number_id:
            raise Wrong("the path must have the phone number id")

    def _mark_read(self, received: Received) -> Reply:
        required = {"messaging_product": str, "status": str, "message_id": str}
        fields = fields_of(received, required, {"typing_indicator": dict})
        if not fields["message_id"].startswith("wamid."):
            raise Wrong("`message_id` must be that of a message of the person")
        if fields.get("typing_indicator", {"type": "text"}) != {"type": "text"}:
            raise Wrong("`typing_indicator` must have the type text")
        (self.typing if "typing_indicator" in fields else self.read).append(fields["message_id"])
        return Reply(200, {"success": True})

    def _checked(self, received: Received) -> dict[str, Any]:
        required: dict[str, type] = {"messaging_product": str, "recipient_type": str, "type": str}
        optional: dict[str, type] = {"to": str, "recipient": str, "biz_opaque_callback_data": str, "context": dict}
        fields = fields_of(received, required, optional | dict.fromkeys(KINDS, dict))
        if fields["messaging_product"] != "whatsapp":
            raise Wrong("`messaging_product` must be whatsapp")
        self._check_person(fields)
        kind = fields["type"]
        if kind not in KINDS or [name for name in KINDS if name in fields] != [kind]:
            raise Wrong("the message must have one content, under the name of its `type`")
        self._check_content(kind, fields[kind])
        if "context" in fields and set(fields["context"]) != {"message_id"}:
            raise Wrong("`context` has message_id")
        return fields

    def _check_person(self, fields: dict[str, Any]) -> None:
        if ("to" in fields) is ("recipient" in fields):
            raise Wrong("the message must have exactly one of `to` and `recipient`")
        if fields["recipient_type"] not in ("individual", "group"):
            raise Wrong("`recipient_type` must be individual or group")
        is_group = fields["recipient_type"] == "group"
        if "to" in fields and not is_group and not re.fullmatch(r"\d{7,15}", fields["to"]):
            raise Wrong("`to` must be the digits of a phone")
        if "recipient" in fields and not re.fullmatch(USER_ID, fields["recipient"]):
            raise Wrong("`recipient` must be a business-scoped user id")

    def _check_content(self, kind: str, content: dict[str, Any]) -> None:
        if kind == "text":
            if set(content) != {"preview_url", "body"} or not 1 <= len(content["body"]) <= self.TEXT_MAX:
                raise Wrong("`text` has preview_url and a body of 1 to 4096 characters")
        elif "link" not in content or not set(content) <= {"link"} | FILE_FIELDS[kind]:
            raise Wrong(f"`{kind}` has link and perhaps {sorted(FILE_FIELDS[kind])}")

    def _refused(self, person: str) -> Reply | None:
        if self.clock() - self.last_inbound.get(person, self.clock()) > WINDOW_S:
            return self.error(400, 131047, "Re-engagement message")
        now_s = time.monotonic()
        free_s = max(self._pairs.get(person, 0.0), now_s - PAIR_INTERVAL_S * (self.pair_burst - 1))
        if free_s > now_s:
            return self.error(400, 131056, "(Business Account, Consumer Account) pair rate limit hit")
        self._pairs[person] = free_s + PAIR_INTERVAL_S
        return None

    @staticmethod
    def error(status: int, code: int, message: str, **beside: Any) -> Reply:
        """Return an error in Meta's form."""
        error = {"message": f"(#{code}) {message}", "type": "OAuthException", "code": code, "fbtrace_id": "A1b"}
        return Reply(status, {"error": error | beside})

    def _delivery(self, fields: dict[str, Any], person: str) -> Delivery:
        message_id, mark = f"wamid.HBg{len(self.requests):08d}", fields.get("biz_opaque_callback_data")
        content = fields[fields["type"]]
        contact = {"input": person, "wa_id": re.sub(r"^(55\d\d)9(\d{8})$", r"\1\2", person)}
        reply = {
            "messaging_product": "whatsapp",
            "contacts": [contact],
            "messages": [{"id": message_id}],
        }
        states = ("sent", "delivered") if self.fails_late is None else ("failed",)
        statuses = tuple(self._status(message_id, state, mark, contact["wa_id"]) for state in states)
        text = content.get("body") or content.get("caption") or ""
        return Delivery(person, text, message_id, Reply(200, reply), mark, statuses, fields["type"])

    def _status(self, message_id: str, state: str, mark: str | None, person: str) -> dict[str, Any]:
        status = {"id": message_id, "status": state, "timestamp": "1749416400", "recipient_id": person}
        if mark is not None:
            status["biz_opaque_callback_data"] = mark
        if state == "failed":
            error = {"code": self.fails_late, "title": "Failed", "error_data": {"details": "Message failed to send"}}
            status["errors"] = [error]  # type: ignore[assignment]
        metadata = {"display_phone_number": "15550783881", "phone_number_id": self.number_id}
        value = {"messaging_product": "whatsapp", "metadata": metadata, "statuses": [status]}
        changes = [{"field": "messages", "value": value}]
        return {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": changes}]}
