"""What the error codes of Twilio mean for a part, in a response and in a status callback."""

from __future__ import annotations

from typing import Any

from gateways.fields import int_of
from gateways.sending import Later, Misconfigured, Refused, ReplyTo, SendResponse, SendResult
from gateways.sending_http import by_status, retry_after_s, told, unknown_error

HOUR_S = 3600.0
SENDER = "Twilio does not let this number send: check that it is one of the account and has WhatsApp"
RECIPIENT = "Twilio does not accept the person's number, or it is not on WhatsApp"
TOO_LONG = "the text is longer than Twilio takes, which is a mistake of ours: please report it"
CREDENTIALS = "Twilio does not accept the account SID or the auth token"

MISCONFIGURED: dict[int | None, str] = {
    20003: CREDENTIALS,
    20404: "Twilio does not know the account SID or the address",
    21212: SENDER,
    21606: SENDER,
    63002: SENDER,
    63007: SENDER,
    63112: "Meta or Twilio has disabled the WhatsApp account of this number",
}
REFUSED: dict[int | None, str] = {
    21211: RECIPIENT,
    21610: "the person has asked not to get messages (STOP)",
    21614: RECIPIENT,
    21617: TOO_LONG,
    21658: TOO_LONG,
    63003: RECIPIENT,
    63016: "the person's last message is older than 24 hours: only a template can reach this person now",
    63021: "WhatsApp does not accept the content of the message",
    63024: RECIPIENT,
}
LATER: dict[int | None, tuple[str, float | None]] = {
    20429: ("too many requests to Twilio", None),
    63017: ("the number sends more than Twilio allows", None),
    63018: ("the number sends more than WhatsApp allows", None),
    63038: ("the account has reached the number of messages that Twilio allows it in a day", HOUR_S),
}
UNKNOWN = "Twilio could not deliver the message"
ADVICE = {
    401: ": check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or `account_sid` and `send_key` of the route",
    404: ": check TWILIO_ACCOUNT_SID and TWILIO_URL, or `account_sid` and `send_url` of the route",
}


def result_of_error(code: Any, response: SendResponse, reply_to: ReplyTo) -> SendResult:
    """Return what an error means. The HTTP status decides for a code that is in no table.

    Twilio answers 4xx before it does anything. After a 5xx nobody knows.
    """
    number = int_of(code)
    ending = f" (Twilio's code {number}){told(response, reply_to)}"
    if result := _by_code(number, response, ending):
        return result
    if response.status >= 500:
        return unknown_error(response, reply_to)
    if result := by_status(response, reply_to, ADVICE):
        return result
    is_refusal = number is not None and 400 <= response.status < 500
    return Refused("Twilio does not accept the message" + ending) if is_refusal else unknown_error(response, reply_to)


def _by_code(code: int | None, response: SendResponse, ending: str) -> SendResult | None:
    if code in LATER:
        words, after_s = LATER[code]
        return Later(words + ending, retry_after_s(response) or after_s, whole_channel=True)
    if code in MISCONFIGURED:
        return Misconfigured(MISCONFIGURED[code] + ending)
    return Refused(REFUSED[code] + ending) if code in REFUSED else None


def failure_words(code: Any) -> str:
    """Return why a message failed after Twilio took it, from the code in its status callback."""
    number = int_of(code)
    later, _ = LATER.get(number, (UNKNOWN, None))
    words = MISCONFIGURED.get(number) or REFUSED.get(number) or later
    return words + (f" (Twilio's code {number})" if number else "")
