"""What an error of Meta's Cloud API means for a part. Evolution's Cloud-API channel hands on the same errors.

The code of the error decides. Meta asks not to go by its title or by the HTTP status.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateways.fields import int_of, object_of, text_of
from gateways.masking import masked_reason
from gateways.sending import InDoubt, Later, Misconfigured, Refused, ReplyTo, SendResponse, SendResult
from gateways.sending_http import by_status, is_success, retry_after_s, told, unknown_error

PAIR_LIMIT_S = 6.0
"""Seconds. Meta refills the limit of one person by about one message in this time."""

PAIR_LIMIT_GROWTH = 4.0
"""Meta asks for a wait of 4 to the power of the attempts."""

NO_ACCESS = "the access token (META_ACCESS_TOKEN) has expired, or lacks the right to send messages"
BLOCKED = "Meta has blocked or restricted the account: see the WhatsApp Manager"
OUR_MISTAKE = "Meta finds a mistake in the request, which is one of ours: please report it"
UNAVAILABLE = "Meta's service is not available now"
PAIR_LIMIT = "too many messages to this person in a short time"
NO_FILE = "Meta could not load the file, or does not take its type"

MISCONFIGURED: dict[int | None, str] = {
    **dict.fromkeys((0, 3, 10, 190, *range(200, 300)), NO_ACCESS),
    33: "Meta does not know the phone number id",
    368: BLOCKED,
    131031: BLOCKED,
    131042: "Meta has no valid payment method for the account",
    131045: "the phone number's certificate is not valid: register the number again",
    133010: "the phone number is not registered with the Cloud API",
}
REFUSED: dict[int | None, str] = {
    130472: "Meta did not deliver it: the person is part of an experiment of Meta's",
    131008: OUR_MISTAKE,
    131009: OUR_MISTAKE,
    131021: "sender and recipient are the same number",
    131026: "the message cannot be delivered: no WhatsApp on this number, or an old version of it",
    131047: "the person's last message is older than 24 hours: only a template can reach this person now",
    131048: "Meta's limit against spam: too many of this number's messages were blocked or reported",
    131049: "Meta limits how many marketing messages this person gets",
    131051: OUR_MISTAKE,
}
LATER: dict[int | None, tuple[str, float | None]] = {
    2: (UNAVAILABLE, None),
    4: ("the app sends more than Meta allows", 60.0),
    80007: ("the WhatsApp Business account sends more than Meta allows", 60.0),
    130429: ("the number sends more messages a second than Meta allows", 3.0),
    131016: (UNAVAILABLE, None),
    131057: ("Meta maintains the account now", None),
    133004: (UNAVAILABLE, None),
}
IN_DOUBT = frozenset({1, 131000})
FAILED_LATE: dict[int | None, str] = {131052: NO_FILE, 131053: NO_FILE, 131056: PAIR_LIMIT}
"""Codes that only the status of a message has, or that mean no repetition there."""


def result_of_error(error: Mapping[str, Any], response: SendResponse, reply_to: ReplyTo) -> SendResult:
    """Return what an error object of Meta means. The HTTP status decides for a code that is in no table."""
    code = int_of(error.get("code"))
    ending = f" (Meta's code {code}){told(response, reply_to)}"
    result = _wrong_parameter(error, ending) if code == 100 else _by_code(code, response, ending)
    return result or by_status(response, reply_to) or _other(response, reply_to, ending)


def failure_words(error: Mapping[str, Any]) -> str:
    """Return why a message failed after it was taken, from the error of its status."""
    code = int_of(error.get("code"))
    later, _ = LATER.get(code, ("Meta could not deliver the message", None))
    words = FAILED_LATE.get(code) or MISCONFIGURED.get(code) or REFUSED.get(code) or later
    details = text_of(object_of(error.get("error_data")).get("details"))
    said = details or text_of(error.get("message")) or text_of(error.get("title"))
    return masked_reason(f"{words} (Meta's code {code})" + (f": {said}" if said else ""), ())


def _by_code(code: int | None, response: SendResponse, ending: str) -> SendResult | None:
    if code == 131056:
        return Later(PAIR_LIMIT + ending, PAIR_LIMIT_S, growth=PAIR_LIMIT_GROWTH)
    if code in LATER:
        words, after_s = LATER[code]
        return Later(words + ending, retry_after_s(response) or after_s, whole_channel=True)
    if code in IN_DOUBT:
        return InDoubt("Meta reports an unknown error" + ending)
    return _final(code, ending)


def _final(code: int | None, ending: str) -> SendResult | None:
    if words := MISCONFIGURED.get(code):
        return Misconfigured(words + ending)
    return Refused(words + ending) if (words := REFUSED.get(code)) else None


def _wrong_parameter(error: Mapping[str, Any], ending: str) -> SendResult:
    """Return the result of code 100, which stands for an unknown phone number id and for a wrong recipient."""
    message = str(error.get("message")) + str(error.get("error_data"))
    if int_of(error.get("error_subcode")) == 33 or "phone_number_id" in message or "Object with ID" in message:
        return Misconfigured(MISCONFIGURED[33] + ending)
    return Refused("Meta does not accept the recipient or another parameter" + ending)


def _other(response: SendResponse, reply_to: ReplyTo, ending: str) -> SendResult:
    if is_success(response) or response.status >= 500:
        return unknown_error(response, reply_to)
    return Refused(f"the gateway answered {response.status}{ending}")
