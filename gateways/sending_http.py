"""What the senders share: requests, responses read without trust, and the results that a status alone decides.

No function raises, whatever a gateway answers. No reason shows a token, a phone number or an address with its query.
"""

from __future__ import annotations

import email.utils
import hashlib
import json
import math
import mimetypes
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import orjson

from gateways.base import BadRequest
from gateways.fields import object_of, read_json
from gateways.masking import mask_numbers, masked_reason
from gateways.sending import (
    InDoubt,
    Later,
    Misconfigured,
    Part,
    PartId,
    Rate,
    Refused,
    ReplyTo,
    SendRequest,
    SendResponse,
    SendResult,
    Sent,
    Target,
)

WHATSAPP_TEXT_MAX = 4096
"""Characters. The hard limit of Meta; the other gateways of WhatsApp name none."""

WHATSAPP_CHANNEL_RATE = Rate(1000)
WHATSAPP_PERSON_RATE = Rate(1500)
"""Own choice: no gateway without a contract with Meta publishes a limit, and the limit is the ban."""

BODY_MAX = 256 * 1024
"""Bytes. A longer response is not read as JSON."""

RETRY_AFTER_MAX_S = 3600.0
ERROR_FIELDS = (
    "message",
    "error",
    "response",
    "details",
    "detail",
    "description",
    "error_data",
    "errors",
    "reason",
    "exception",
    "status",
)
"""Fields of an error body that say what is wrong, or hold an object that does."""

ERROR_TEXTS_MAX = 6
ERROR_DEPTH_MAX = 4
TEXT_READ_MAX = 500
"""Characters of one error text that are looked at."""

MIME_TYPES = mimetypes.MimeTypes()
"""The table of Python itself, which is the same on every machine."""

USUAL_MIME_TYPES = {
    "image": "image/jpeg",
    "audio": "audio/ogg; codecs=opus",
    "video": "video/mp4",
    "document": "application/octet-stream",
}

REDIRECTS = range(300, 400)
RESULTS: Mapping[int, Callable[[str], SendResult]] = {
    **dict.fromkeys((401, 403, 404, 405, 415), Misconfigured),
    413: Refused,
    429: Later,
    503: Later,
    **dict.fromkeys((502, 504, *range(520, 525)), InDoubt),
}
"""The statuses that mean the same everywhere. Behind 502 and 52x is a proxy, which may have handed on the part."""


def post_json(
    url: str, headers: Mapping[str, str], fields: Mapping[str, Any], hidden: Collection[str] = ()
) -> SendRequest:
    """Return a POST request with a JSON body. `hidden` are the secrets in the address."""
    return SendRequest(
        "POST", url, {**headers, "content-type": "application/json"}, json_bytes(fields), masked_url(url, hidden)
    )


def get(url: str, headers: Mapping[str, str], hidden: Collection[str] = ()) -> SendRequest:
    """Return a GET request. `hidden` are the secrets in the address."""
    return SendRequest("GET", url, headers, b"", masked_url(url, hidden))


def address(base: str, *parts: str) -> str:
    """Return the address of a path below a base. Each part is percent-encoded, slashes and dots of its own too."""
    return "/".join([base.strip().rstrip("/"), *map(_encoded, parts)])


def _encoded(part: str) -> str:
    encoded = quote(part, safe="@", errors="replace")
    return encoded.replace(".", "%2E") if part in (".", "..") else encoded


def masked_url(url: str, hidden: Collection[str] = ()) -> str:
    """Return an address that may be shown: without user, query and the hidden parts, phone numbers masked."""
    try:
        split = urlsplit(url)
        shown = f"{split.scheme}://{split.netloc.rpartition('@')[2]}{split.path}"
    except ValueError:
        return "an address that cannot be read"
    for secret in filter(None, hidden):
        shown = shown.replace(_encoded(secret), "***").replace(secret, "***")
    return mask_numbers(shown)


def json_bytes(fields: Mapping[str, Any]) -> bytes:
    """Return JSON. A lone surrogate (half an emoji) becomes U+FFFD, because no gateway takes it."""
    try:
        return orjson.dumps(fields)
    except TypeError:
        text = json.dumps(fields, ensure_ascii=False)
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def whatsapp_id(part_id: PartId) -> str:
    """Return the id of ours for a part, in the form of WhatsApp Web's own: other forms may be dropped silently."""
    return "3EB0" + hashlib.sha256(str(part_id).encode("utf-8", "replace")).hexdigest()[:18].upper()


def quoted_id(reply_to: ReplyTo, part_id: PartId) -> str | None:
    """Return the id of the message to quote: in a group, in the first part of the answer, else None."""
    if not reply_to.is_group or part_id.number != 1:
        return None
    return last_text(reply_to, "message_id")


def last_text(reply_to: ReplyTo, name: str) -> str | None:
    """Return a field of the last message if it is a non-empty string, else None."""
    value = reply_to.last.get(name)
    return value if isinstance(value, str) and value else None


def whatsapp_jid(peer: str, phone_host: str = "@s.whatsapp.net") -> str:
    """Return the full address of a peer: a phone's digits get their host, and any other address stays as it is."""
    return peer + phone_host if peer.isascii() and peer.isdigit() else peer


def extension_of(part: Part) -> str:
    """Return the extension of a file in lower case, without its dot, from its name or address. May be empty."""
    for name in (part.filename, (part.url or "").partition("?")[0].partition("#")[0]):
        found = re.search(r"\.([A-Za-z0-9]{1,8})$", name or "")
        if found:
            return found[1].lower()
    return ""


def mime_type_of(part: Part) -> str:
    """Return the media type of a file by its extension, else the usual one of its kind."""
    return MIME_TYPES.guess_type(f"x.{extension_of(part)}")[0] or USUAL_MIME_TYPES.get(part.kind, "text/plain")


def is_success(response: SendResponse) -> bool:
    """Return True for a 2xx status."""
    return 200 <= response.status < 300


def json_of(response: SendResponse) -> Any:
    """Return the JSON of a response, or None if it has none or is longer than BODY_MAX."""
    if not response.body or len(response.body) > BODY_MAX:
        return None
    try:
        return read_json(response.body)
    except (BadRequest, ValueError, RecursionError):
        return None


def object_in(response: SendResponse) -> dict[str, Any]:
    """Return the JSON object of a response, or an empty one."""
    return object_of(json_of(response))


def error_text(response: SendResponse) -> str:
    """Return what a response says about an error, unmasked and in one line, to look for known words. May be empty."""
    parsed = json_of(response)
    if parsed is None:
        return _plain_text(response.body)
    return " · ".join(text for _, text in zip(range(ERROR_TEXTS_MAX), _texts_in(parsed, ERROR_DEPTH_MAX), strict=False))


def _plain_text(body: bytes) -> str:
    text = body[: TEXT_READ_MAX * 4].decode("utf-8", "replace").strip()
    return "an HTML page" if text[:1] == "<" else text[:TEXT_READ_MAX]


def _texts_in(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str) and value.strip():
        yield value[:TEXT_READ_MAX]
    elif isinstance(value, list) and depth:
        for item in value[:ERROR_TEXTS_MAX]:
            yield from _texts_in(item, depth - 1)
    elif isinstance(value, dict) and depth:
        for name in ERROR_FIELDS:
            if name in value:
                yield from _texts_in(value[name], depth - 1)


def told(response: SendResponse, reply_to: ReplyTo) -> str:
    """Return what the gateway says, as the end of a sentence: `: <text>`, masked, or an empty text."""
    text = masked_reason(error_text(response), _secrets_of(reply_to))
    return f": {text}" if text else ""


def _secrets_of(reply_to: ReplyTo) -> list[str]:
    fields = (last_text(reply_to, name) for name in ("text", "participant", "sender_name"))
    peer = reply_to.conversation.peer
    return [peer, peer.partition("@")[0], *filter(None, fields)]


def without_secrets(result: SendResult, target: Target, part: Part) -> SendResult:
    """Return the result with the secrets of the target and the words of the part masked in its reason.

    `read` sees neither of them, so the worker calls this for each result before it logs or stores the reason.
    """
    if isinstance(result, Sent):
        return result
    hidden = [target.secret, target.account, *filter(None, part[1:])]
    return result._replace(reason=masked_reason(result.reason, hidden))


def retry_after_s(response: SendResponse) -> float | None:
    """Return Retry-After in seconds, at most RETRY_AFTER_MAX_S. A date counts from the response's own Date."""
    written = response.headers.get("retry-after", "").strip()
    try:
        seconds = float(written) if written[:1].isdigit() else _seconds_until(written, response.headers.get("date", ""))
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_MAX_S) if math.isfinite(seconds) else None


def _seconds_until(moment: str, now: str) -> float:
    until, since = email.utils.parsedate_to_datetime(moment), email.utils.parsedate_to_datetime(now)
    return until.timestamp() - since.timestamp()


def by_status(response: SendResponse, reply_to: ReplyTo, advice: Mapping[int, str] | None = None) -> SendResult | None:
    """Return the result that the status alone decides, the same for every gateway, or None: the body decides.

    `advice` says for a status what the operator can do, as a piece of a sentence that begins with a comma or colon.
    """
    status = response.status
    if status in REDIRECTS:
        return Misconfigured(f"the gateway redirects ({status}), which is not followed: set its final address")
    result = RESULTS.get(status)
    if result is None:
        return None
    reason = f"the gateway answered {status}{(advice or {}).get(status, '')}{told(response, reply_to)}"
    if result is Later:
        return Later(reason, retry_after_s(response), whole_channel=True)
    return result(reason)


class Rule(NamedTuple):
    """One row of a gateway's table: a response with one of the statuses whose words match the pattern."""

    statuses: Collection[int]
    pattern: str
    result: Callable[[str], SendResult]
    words: str


def by_rules(rules: Iterable[Rule], response: SendResponse, reply_to: ReplyTo) -> SendResult | None:
    """Return the result of the first rule that fits, with its words and those of the gateway, or None."""
    text = error_text(response)
    for rule in rules:
        if response.status in rule.statuses and re.search(rule.pattern, text, re.IGNORECASE):
            return rule.result(rule.words + told(response, reply_to))
    return None


def probe_failed(response: SendResponse, advice: Mapping[int, str]) -> str:
    """Return what is wrong when a probe gets no 2xx."""
    text = masked_reason(error_text(response), ())
    return f"the gateway answered {response.status}{advice.get(response.status, '')}" + (f": {text}" if text else "")


def without_id(response: SendResponse, reply_to: ReplyTo) -> InDoubt:
    """Return the result for a 2xx that does not say what became of the part."""
    return InDoubt(f"the gateway answered {response.status} without the id of a message{told(response, reply_to)}")


def unknown_error(response: SendResponse, reply_to: ReplyTo) -> InDoubt:
    """Return the result for an error that is in no table: nobody knows what became of the part."""
    return InDoubt(f"the gateway answered {response.status}{told(response, reply_to)}")
