"""Twilio sends: forms, with the account's SID and token. Its 201 means queued.

Where PUBLIC_BASE_URL is set, Twilio reports to our own webhook what became of each message.
"""

from __future__ import annotations

import base64
from urllib.parse import quote, urlencode, urlsplit

from buffer.models import Conversation
from gateways.fields import object_of, text_of
from gateways.sending import (
    Part,
    PartId,
    Rate,
    ReplyTo,
    Sender,
    SendRequest,
    SendResponse,
    SendResult,
    Sent,
    Target,
)
from gateways.sending_http import (
    address,
    get,
    is_success,
    last_text,
    masked_url,
    object_in,
    probe_failed,
    without_id,
)
from gateways.twilio_errors import ADVICE, result_of_error
from gateways.utf16 import utf16_size

TEXT_MAX = 1600
API_VERSION = "2010-04-01"
API_HOST, MESSAGING_URL = "api.twilio.com", "https://messaging.twilio.com"
"""Typing has an address of its own. A TWILIO_URL with another host serves both."""

WHATSAPP = "whatsapp:"
MARK = "part"
"""The name of the mark of ours in the query of a status callback."""

CALLBACK_PATH = "/webhooks/twilio"
CHANNEL_RATE = Rate(105)
"""Twilio sends 10 messages a second of a number, and queues what is more."""

PERSON_RATE = Rate(6000, 10)
"""Meta's pair limit holds behind Twilio, too."""

TYPING_S = 26.0
"""Seconds. The indicator is shown for 25 s."""


def request(target: Target, reply_to: ReplyTo, part: Part, part_id: PartId) -> SendRequest:
    """Return the request for one part, from and to the addresses of the person's last message."""
    fields = _addresses(reply_to) | {"Body": part.text or ""}
    if part.kind != "text":
        fields["MediaUrl"] = part.url or ""
    if target.callback_url:
        fields["StatusCallback"] = f"{target.callback_url}{CALLBACK_PATH}?{MARK}={quote(str(part_id), safe='')}"
    return _post(_account_url(target) + "/Messages.json", target, {name: text for name, text in fields.items() if text})


def return_address(ours: str, theirs: str, conversation: Conversation) -> dict[str, str]:
    """Return the two addresses of a message, empty if they follow from the conversation."""
    usual = [WHATSAPP + "+" + digits for digits in (conversation.channel, conversation.peer)]
    return {} if [ours, theirs] == usual else {"from": ours, "to": theirs}


def _addresses(reply_to: ReplyTo) -> dict[str, str]:
    known = object_of(reply_to.last.get("return_address"))
    names = {"From": reply_to.conversation.channel, "To": reply_to.conversation.peer}
    return {field: text_of(known.get(field.lower())) or _whatsapp(name) for field, name in names.items()}


def _whatsapp(name: str) -> str:
    return f"{WHATSAPP}+{name}" if name.isascii() and name.isdigit() else WHATSAPP + name


def _account_url(target: Target) -> str:
    return address(target.url, API_VERSION, "Accounts", target.account)


def _post(url: str, target: Target, fields: dict[str, str]) -> SendRequest:
    body = urlencode(fields, errors="replace").encode()
    headers = _headers(target) | {"content-type": "application/x-www-form-urlencoded"}
    return SendRequest("POST", url, headers, body, masked_url(url, [target.account]))


def _headers(target: Target) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{target.account}:{target.secret}".encode()).decode()}


def read(response: SendResponse, reply_to: ReplyTo) -> SendResult:
    """Return what a response means."""
    body = object_in(response)
    code = body.get("error_code") or (None if is_success(response) else body.get("code"))
    if code or not is_success(response):
        return result_of_error(code, response, reply_to)
    message_id = text_of(body.get("sid"))
    return Sent(message_id) if message_id else without_id(response, reply_to)


def typing(target: Target, reply_to: ReplyTo) -> SendRequest | None:
    """Return the request that shows that we type, and marks the last message as read. None beside WhatsApp."""
    message_id = (last_text(reply_to, "message_id") or "").partition("#")[0]
    if not message_id or not _addresses(reply_to)["To"].startswith(WHATSAPP):
        return None
    url = address(_messaging_url(target), "v2", "Indicators", "Typing.json")
    return _post(url, target, {"messageId": message_id, "channel": "whatsapp"})


def _messaging_url(target: Target) -> str:
    return MESSAGING_URL if urlsplit(target.url).hostname == API_HOST else target.url


def probe(target: Target, conversation: Conversation) -> SendRequest:
    """Return the request for the account."""
    return get(_account_url(target) + ".json", _headers(target), [target.account])


def read_probe(response: SendResponse) -> str | None:
    """Return None if the account is active, else what is wrong."""
    if not is_success(response):
        return probe_failed(response, ADVICE)
    status = text_of(object_in(response).get("status")) or ""
    return None if status == "active" else f"the account is not active (its status is {status[:20]!r})"


SENDER = Sender(
    request,
    read,
    TEXT_MAX,
    CHANNEL_RATE,
    PERSON_RATE,
    text_size=utf16_size,
    own_id=str,
    caption_max=TEXT_MAX,
    media_kinds=frozenset({"image", "audio", "video", "document"}),
    typing=typing,
    typing_lasts_s=TYPING_S,
    probe=probe,
    read_probe=read_probe,
)
