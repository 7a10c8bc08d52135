"""The generic gateway sends: one POST for each part, signed like the calls to the agent.

A receiver that cannot verify a signature compares the bearer token instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from gateways.content import known
from gateways.fields import text_of
from gateways.sending import (
    InDoubt,
    Part,
    PartId,
    Rate,
    Refused,
    ReplyTo,
    Sender,
    SendRequest,
    SendResponse,
    SendResult,
    Sent,
    Target,
)
from gateways.sending_http import (
    by_status,
    is_success,
    json_bytes,
    last_text,
    masked_url,
    object_in,
    told,
    unknown_error,
)
from gateways.standard_webhooks import SIGNING_ONLY, signature_headers, signing_key

TEXT_MAX = 65_536
NO_LIMIT = Rate(0)
REFUSALS = frozenset({400, 410, 422})
"""The statuses that are about this very part."""

ADVICE = {
    401: ": check GENERIC_REPLY_SECRET, or `send_key` of the route",
    403: ": check GENERIC_REPLY_SECRET, or `send_key` of the route",
    404: ": check GENERIC_REPLY_URL, or `send_url` of the route",
}


def request(
    target: Target, reply_to: ReplyTo, part: Part, part_id: PartId, *, clock: Callable[[], float] = time.time
) -> SendRequest:
    """Return the request for one part. `clock` returns seconds since 1970, for the signature."""
    body = json_bytes(_fields(reply_to, part, part_id))
    headers = {"content-type": "application/json", "idempotency-key": str(part_id)}
    if target.secret:
        headers |= signature_headers(signing_key(target.secret), str(part_id), int(clock()), body)
    if target.secret and not target.secret.startswith(SIGNING_ONLY):
        headers["authorization"] = f"Bearer {target.secret}"
    return SendRequest("POST", target.url, headers, body, masked_url(target.url))


def _fields(reply_to: ReplyTo, part: Part, part_id: PartId) -> dict[str, Any]:
    _, channel, peer = reply_to.conversation
    address = {"conversation": peer, "channel": channel, "part": part_id.number, "parts": part_id.of}
    return address | _content(part) | known(in_reply_to=last_text(reply_to, "message_id"))


def _content(part: Part) -> dict[str, Any]:
    """Return the part as the agent wrote it."""
    if part.kind == "text":
        return {"text": part.text or ""}
    return {part.kind: part.url or ""} | known(caption=part.text, filename=part.filename)


def read(response: SendResponse, reply_to: ReplyTo) -> SendResult:
    """Return what a response means. After a 5xx nobody knows, unless the target is idempotent."""
    if is_success(response):
        return Sent(text_of(object_in(response).get("message_id")))
    if response.status in REFUSALS:
        return Refused(f"the receiver answered {response.status}{told(response, reply_to)}")
    if response.status >= 500:
        return InDoubt(f"the receiver answered {response.status}{told(response, reply_to)}")
    return by_status(response, reply_to, ADVICE) or unknown_error(response, reply_to)


SENDER = Sender(
    request,
    read,
    TEXT_MAX,
    NO_LIMIT,
    NO_LIMIT,
    caption_max=TEXT_MAX,
    media_kinds=frozenset({"image", "audio", "video", "document"}),
    caption_kinds=frozenset({"image", "audio", "video", "document"}),
)
