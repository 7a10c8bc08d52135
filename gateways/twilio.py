"""Twilio's Programmable Messaging, WhatsApp and SMS: signed forms, with TwiML as the reply.

The forms have no timestamp. By default Twilio retries nothing, so only a fallback URL helps while the service is down.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from buffer.models import Conversation, Event, Ignored, Message
from config.settings import Settings
from gateways.base import BadRequest, BodySchema, Gateway, HTTPReply, Request
from gateways.content import Content, with_part_ids
from gateways.credentials import carries, header_scheme
from gateways.delivery import marked, report
from gateways.ignored import ignored, misfit
from gateways.twilio_content import Form, read_contents, read_context
from gateways.twilio_errors import failure_words
from gateways.twilio_send import MARK, SENDER, return_address

NAME = "twilio"
MAX_FIELDS = 1000
"""Fields in one form. A form with more is refused before its fields are sorted for the signature."""

PORTS = {"http": 80, "https": 443}
INBOUND = ("received", "receiving")
"""The status of an incoming message. Forms with any other status are callbacks about messages of ours."""

PHONE = re.compile(r"(?:(?:whatsapp|rcs):)?\+?([0-9]+)")
TWIML = HTTPReply(200, "text/xml", b'<?xml version="1.0" encoding="UTF-8"?><Response/>')


class Chat(NamedTuple):
    """The chat of a person with one of our numbers. `alias` is the user id of a person whose phone is known."""

    conversation: Conversation
    alias: str | None


def is_open(settings: Settings) -> bool:
    """Return True if the auth token, which signs requests, is configured."""
    return settings.twilio_auth_token is not None


def verify(request: Request, settings: Settings) -> bool:
    """Return True if the called address and all fields are signed with the auth token."""
    token, base_url = settings.twilio_auth_token, settings.public_base_url
    fields = _signed_fields(request)
    if token is None or base_url is None or fields is None:
        return False
    given, key = request.headers.get("x-twilio-signature", "").encode(), token.get_secret_value().encode()
    digests = [hmac.digest(key, url.encode() + fields, "sha1") for url in _addresses(base_url, request)]
    return any([hmac.compare_digest(given, base64.b64encode(digest)) for digest in digests])


def _addresses(base_url: str, request: Request) -> list[str]:
    """Return the called address without and with its port. Twilio's products differ in the one they sign."""
    base = urlsplit(base_url)
    host = base.netloc if base.port is None else base.netloc.rpartition(":")[0]
    rest = base.path.rstrip("/") + request.path + (f"?{request.query_string}" if request.query_string else "")
    return [f"{base.scheme}://{name}{rest}" for name in (host, f"{host}:{base.port or PORTS[base.scheme]}")]


def _signed_fields(request: Request) -> bytes | None:
    """Return the bytes that are signed after the address, or None if they cannot match.

    A body that is no form is signed by its hash in the address.
    """
    if digest := request.query.get("bodySHA256"):
        is_this_body = hmac.compare_digest(digest.encode(), hashlib.sha256(request.body).hexdigest().encode())
        return b"" if is_this_body else None
    try:
        return b"".join(name + value for name, value in sorted(set(_read_pairs(request.body))))
    except BadRequest:
        return None


# one entry: parse reads the same body right after verify, and without the cache both together take 27 us, not 15
@lru_cache(maxsize=1)
def _read_pairs(body: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Return the fields of a form, blank ones too, as bytes, which are signed. Raises BadRequest."""
    fields = body.replace(b"+", b" ").split(b"&", MAX_FIELDS)
    if len(fields) > MAX_FIELDS:
        raise BadRequest(f"the form has more than {MAX_FIELDS} fields")
    return tuple(_pair(field) for field in fields if field)


def _pair(field: bytes) -> tuple[bytes, bytes]:
    name, _, value = field.partition(b"=")
    return (unquote_to_bytes(name), unquote_to_bytes(value)) if b"%" in field else (name, value)


def parse(request: Request) -> list[Event]:
    """Return the messages of one form, one per attachment. Raises BadRequest."""
    pairs = _read_pairs(request.body)
    form = {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in pairs}
    chat, message_id = _chat(form), form.get("MessageSid") or form.get("SmsMessageSid")
    if _is_callback(form):
        return [_status(form, message_id, request.query.get(MARK))]
    if chat is None or not message_id:
        return [ignored("call") if "CallSid" in form else misfit(form.get("EventType"), form)]
    contents = read_contents(form)
    if isinstance(contents, Ignored):
        return [contents]
    context = read_context(form)
    return [_message(form, chat, part_id, content, context) for part_id, content in with_part_ids(contents, message_id)]


def _is_callback(form: Form) -> bool:
    return (form.get("MessageStatus") or form.get("SmsStatus") or INBOUND[0]) not in INBOUND


def _status(form: Form, message_id: str | None, own_mark: str | None) -> Event:
    """Read what became of a message of ours. The mark is that of the address that we gave Twilio with the message."""
    status, reason = form.get("MessageStatus") or form.get("SmsStatus"), failure_words(form.get("ErrorCode"))
    return marked(report(NAME, _name(form.get("From")) or "", message_id, status, reason), own_mark)


def _chat(form: Form) -> Chat | None:
    channel = _name(form.get("To"))
    names = [name for field in ("From", "WaId", "ExternalUserId") if (name := _name(form.get(field)))]
    if channel is None or not names:
        return None
    phone = next((name for name in names if name.isdecimal()), None)
    user_id = next((name for name in names if not name.isdecimal()), None)
    return Chat(Conversation(NAME, channel, phone or names[0]), user_id if phone else None)


def _name(address: str | None) -> str | None:
    """Return the digits of a phone, and any other address without `whatsapp:`. None if there is none."""
    phone = PHONE.fullmatch(address or "")
    return phone[1] if phone else (address or "").removeprefix("whatsapp:") or None


def _message(form: Form, chat: Chat, message_id: str | None, content: Content, context: dict[str, Any]) -> Message:
    return Message(
        conversation=chat.conversation,
        message_id=message_id,
        timestamp_ms=None,
        kind=content.kind,
        text=content.text,
        media=content.media,
        sender_name=form.get("ProfileName") or None,
        conversation_alias=chat.alias,
        extra=content.extra | context,
        return_address=return_address(form.get("To", ""), form.get("From", ""), chat.conversation),
    )


GATEWAY = Gateway(
    NAME,
    is_open,
    verify,
    parse,
    verify_head=carries("x-twilio-signature"),
    security_schemes={
        "twilioSignature": header_scheme(
            "X-Twilio-Signature",
            "The HMAC-SHA1, in base64, of the address under PUBLIC_BASE_URL and the sorted fields with "
            "TWILIO_AUTH_TOKEN",
        )
    },
    auth_hint="Twilio signs with its auth token, TWILIO_AUTH_TOKEN",
    body_schema=BodySchema(
        "application/x-www-form-urlencoded", {"type": "object", "additionalProperties": {"type": "string"}}
    ),
    success_reply=TWIML,
    sender=SENDER,
)
