"""Chatwoot sends: a message of the bot in the conversation, which Chatwoot hands on to the channel behind it.

Files go as their address, because Chatwoot takes no address of a file.
"""

from __future__ import annotations

from typing import Any

from buffer.models import Conversation
from gateways.fields import object_of, text_of
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
    WHATSAPP_PERSON_RATE,
    WHATSAPP_TEXT_MAX,
    Rule,
    address,
    by_rules,
    by_status,
    error_text,
    get,
    is_success,
    object_in,
    post_json,
    probe_failed,
    unknown_error,
    without_id,
)

CHANNEL_RATE = Rate(100)
"""An address may make 3,000 requests a minute to Chatwoot, typing and its people's own included."""

ADVICE = {
    401: ": the token is wrong (CHATWOOT_API_TOKEN, or `send_key` of the route)",
    403: ": the token may not do this (CHATWOOT_API_TOKEN, or `send_key` of the route)",
}
RULES = (
    Rule((404,), r"", Refused, "Chatwoot does not have this conversation any more"),
    Rule((422,), r"", Refused, "Chatwoot does not accept the message"),
    Rule((500,), r"", InDoubt, "Chatwoot answered 500, which may come after it took the message"),
)
NOT_FOR_BOTS = "not authorized for bots"
"""Chatwoot's words for an endpoint that a valid token of a bot may not use, with the status 401."""


def request(target: Target, reply_to: ReplyTo, part: Part, part_id: PartId) -> SendRequest:
    """Return the request for one part. Raises ValueError if the account of the conversation is not known."""
    fields = {"content": part.text or "", "message_type": "outgoing", "private": False, "echo_id": str(part_id)}
    made = _post(target, reply_to, "messages", fields)
    if made is None:
        raise ValueError("the account is not known, because Chatwoot's webhook did not tell it")
    return made


def return_address(account_id: str | None) -> dict[str, str]:
    """Return what a reply needs beside the conversation: the ids of conversations are those of one account."""
    return {"account": account_id} if account_id else {}


def _post(target: Target, reply_to: ReplyTo, action: str, fields: dict[str, Any]) -> SendRequest | None:
    account = text_of(object_of(reply_to.last.get("return_address")).get("account"))
    if account is None:
        return None
    path = ("api", "v1", "accounts", account, "conversations", reply_to.conversation.peer, action)
    return post_json(address(target.url, *path), _headers(target), fields)


def _headers(target: Target) -> dict[str, str]:
    return {"api_access_token": target.secret}


def read(response: SendResponse, reply_to: ReplyTo) -> SendResult:
    """Return what a response means."""
    if is_success(response):
        message_id = text_of(object_in(response).get("id"))
        return Sent(message_id) if message_id else without_id(response, reply_to)
    return (
        by_rules(RULES, response, reply_to)
        or by_status(response, reply_to, ADVICE)
        or unknown_error(response, reply_to)
    )


def typing(target: Target, reply_to: ReplyTo) -> SendRequest | None:
    """Return the request that shows that we type. Chatwoot refuses it to bots: only the token of a user may."""
    return _post(target, reply_to, "toggle_typing_status", {"typing_status": "on"})


def stop_typing(target: Target, reply_to: ReplyTo) -> SendRequest | None:
    """Return the request that ends the indicator, which would stay on."""
    return _post(target, reply_to, "toggle_typing_status", {"typing_status": "off"})


def hand_over(target: Target, reply_to: ReplyTo) -> SendRequest | None:
    """Return the request that gives the conversation to the humans."""
    return _post(target, reply_to, "toggle_status", {"status": "open"})


def probe(target: Target, conversation: Conversation) -> SendRequest:
    """Return the request for the profile of the token's owner."""
    return get(address(target.url, "api", "v1", "profile"), _headers(target))


def read_probe(response: SendResponse) -> str | None:
    """Return None if Chatwoot knows the token, else what is wrong. A bot has no profile, but its token is known."""
    if is_success(response) and "id" in object_in(response):
        return None
    if response.status == 401 and NOT_FOR_BOTS in error_text(response):
        return None
    if is_success(response):
        return "this is not Chatwoot's API: check CHATWOOT_URL, or `send_url` of the route"
    return probe_failed(response, ADVICE)


SENDER = Sender(
    request,
    read,
    WHATSAPP_TEXT_MAX,
    CHANNEL_RATE,
    WHATSAPP_PERSON_RATE,
    typing=typing,
    stop_typing=stop_typing,
    hand_over=hand_over,
    probe=probe,
    read_probe=read_probe,
)
