"""Chatwoot: the requests, what each response means, and whose messages come in."""

from __future__ import annotations

import json

import pytest

from buffer.models import DeliveryStatus, Ignored
from gateways import chatwoot
from gateways.base import Request
from gateways.chatwoot_send import SENDER
from gateways.sending import InDoubt, Later, Misconfigured, Part, Refused, Sent, Target
from tests.replies import PART_ID, fields, reply_to, response

TARGET = Target("https://chat.example.com", "k3y")
PERSON = reply_to("chatwoot", "29269", "48", return_address={"account": "3"})
URL = "https://chat.example.com/api/v1/accounts/3/conversations/48"


def test_a_text_goes_into_the_conversation():
    """The path has the account and the display id of the conversation, and the body our mark."""
    request = SENDER.request(TARGET, PERSON, Part(text="olá"), PART_ID)
    assert (request.method, request.url) == ("POST", f"{URL}/messages")
    assert dict(request.headers) == {"api_access_token": "k3y", "content-type": "application/json"}
    assert fields(request) == {
        "content": "olá",
        "message_type": "outgoing",
        "private": False,
        "echo_id": str(PART_ID),
    }
    assert SENDER.own_id is None
    assert SENDER.media_kinds == frozenset()


@pytest.mark.parametrize(
    "last", [{}, {"return_address": {}}, {"return_address": "3"}, {"return_address": {"account": []}}]
)
def test_without_its_account_a_conversation_has_no_address(last):
    """The account is never guessed, because another one may have a conversation with the same id."""
    person = reply_to("chatwoot", "29269", "48", **last)
    with pytest.raises(ValueError, match="account is not known"):
        SENDER.request(TARGET, person, Part(text="a"), PART_ID)
    assert SENDER.typing(TARGET, person) is SENDER.hand_over(TARGET, person) is None


@pytest.mark.parametrize(
    ("answer", "result", "words"),
    [
        (response(200, {}), InDoubt, "without the id"),
        (response(200, b"<html>"), InDoubt, "an HTML page"),
        (response(401, {"error": "Invalid Access Token"}), Misconfigured, "CHATWOOT_API_TOKEN"),
        (response(401, {"error": "Access to this endpoint is not authorized for bots"}), Misconfigured, "bots"),
        (response(403, {}), Misconfigured, "may not"),
        (response(404, {"error": "Resource could not be found"}), Refused, "not have this conversation"),
        (response(422, {"error": "Validation failed: Content is too long"}), Refused, "too long"),
        (response(429, b"Retry later", retry_after="9"), Later, "429"),
        (response(500, b""), InDoubt, "500"),
        (response(503, b""), Later, "503"),
        (response(502, b""), InDoubt, "502"),
        (response(405, b""), Misconfigured, "405"),
        (response(413, b""), Refused, "413"),
        (response(400, {"error": "odd"}), InDoubt, "odd"),
        (response(301, b""), Misconfigured, "redirects"),
    ],
)
def test_what_a_response_means(answer, result, words):
    """Each row of the table."""
    read = SENDER.read(answer, PERSON)
    assert type(read) is result
    assert words in read.reason


def test_a_success():
    """The id is the one that the webhook of the message has."""
    body = {"id": 789, "content": "olá", "conversation_id": 48, "message_type": 1, "status": "sent", "echo_id": "f.1"}
    assert SENDER.read(response(200, body), PERSON) == Sent("789")
    assert SENDER.read(response(429, b"", retry_after="9"), PERSON).after_s == 9


def test_typing_and_hand_over():
    """Typing is on until it is switched off, and a conversation is given to the humans by its status."""
    typing, hand_over = SENDER.typing(TARGET, PERSON), SENDER.hand_over(TARGET, PERSON)
    stop_typing = SENDER.stop_typing(TARGET, PERSON)
    assert (stop_typing.url, fields(stop_typing)) == (typing.url, {"typing_status": "off"})
    assert (typing.url, fields(typing)) == (f"{URL}/toggle_typing_status", {"typing_status": "on"})
    assert (hand_over.url, fields(hand_over)) == (f"{URL}/toggle_status", {"status": "open"})
    assert SENDER.typing_lasts_s == 0


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (response(200, {"id": 5}), None),
        (response(401, {"error": "Access to this endpoint is not authorized for bots"}), None),
        (response(200, b"<html>"), "CHATWOOT_URL"),
        (response(401, {"error": "Invalid Access Token"}), "CHATWOOT_API_TOKEN"),
    ],
)
def test_the_probe(answer, wrong):
    """A bot has no profile, but Chatwoot says so only to a valid token."""
    assert SENDER.probe(TARGET, PERSON.conversation).url == "https://chat.example.com/api/v1/profile"
    read = SENDER.read_probe(answer)
    assert read is None if wrong is None else wrong in read


def parse(**fields):
    body = {
        "event": "message_created",
        "id": 7,
        "account": {"id": 3, "name": "Loja"},
        "content": "oi",
        "message_type": "incoming",
        "private": False,
        "inbox": {"id": 29269},
        "conversation": {"id": 48, "inbox_id": 29269, "status": "pending"},
        "sender": {"name": "Ana", "type": "contact"},
    } | fields
    return chatwoot.parse(Request({}, {}, "", json.dumps(body).encode()))


@pytest.mark.parametrize(
    ("changes", "account"),
    [
        ({}, "3"),
        ({"account": None}, None),
        ({"account": None, "account_id": 4}, "4"),
        ({"account": None, "conversation": {"id": 48, "inbox_id": 29269, "account_id": 5}}, "5"),
        (
            {"account": {}, "conversation": {"id": 48, "inbox_id": 1, "meta": {"sender": {"account": {"id": 6}}}}},
            "6",
        ),
    ],
)
def test_the_account_comes_with_the_message(changes, account):
    """It is the return address, and no field that the agent gets."""
    (message,) = parse(**changes)
    assert message.return_address == ({"account": account} if account else {})
    assert message.extra == {}


@pytest.mark.parametrize(
    ("changes", "is_human"),
    [
        ({"sender": {"id": 5, "name": "Bia", "type": "user"}}, True),
        ({"sender": {"id": 5, "name": "Bia"}}, True),
        ({"sender": {"id": 1, "name": "Bot", "type": "agent_bot"}}, False),
        ({"sender": {"id": 1, "name": "Captain", "type": "captain_assistant"}}, False),
        ({"sender": None}, False),
        ({"sender": None, "content_attributes": {"automation_rule_id": 1}}, False),
        ({"sender": None, "content_attributes": {"external_echo": True}}, True),
        ({"sender": None, "content_attributes": {"external_sender_name": "WhatsApp"}}, True),
    ],
)
def test_whose_an_outgoing_message_is(changes, is_human):
    """A human writes in Chatwoot or on the phone behind it. Bots, rules and campaigns are no humans."""
    (message,) = parse(message_type="outgoing", **changes)
    assert message.from_me
    assert message.extra.get("via_api", False) is not is_human


def updated(**fields):
    return parse(event="message_updated", **{"message_type": "outgoing"} | fields)


def nested(status):
    return {"id": 48, "inbox_id": 29269, "messages": [{"id": 6, "status": "read"}, {"id": 7, "status": status}]}


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"status": "failed"}, "failed"),
        ({"status": 3}, "failed"),
        ({"content_attributes": {"external_error": "131047: Re-engagement"}}, "failed"),
        ({"conversation": nested("failed")}, "failed"),
        ({"status": "delivered"}, "sent"),
        ({"status": 2}, "sent"),
        ({"conversation": nested("read")}, "sent"),
    ],
)
def test_an_update_says_what_became_of_the_message(changes, state):
    """The channel behind Chatwoot may fail after Chatwoot took the message."""
    (event,) = updated(**changes)
    assert (event.gateway, event.channel, event.message_id, event.state) == ("chatwoot", "29269", "7", state)
    assert isinstance(event, DeliveryStatus)


def test_the_reason_is_the_channels():
    """The words of the channel are the reason, without numbers."""
    error = "131047: Re-engagement message to +55 11 90000-0001"
    (event,) = updated(status="failed", content_attributes={"external_error": error})
    assert event.reason == "131047: Re-engagement message to ***"


@pytest.mark.parametrize("changes", [{}, {"status": "progress"}, {"id": None, "status": "failed"}])
def test_other_updates_say_nothing(changes):
    """Without a status or an id nothing is known."""
    assert updated(**changes) == [Ignored("unknown_event")]


def test_the_limits():
    """Ten messages a second, and 1.5 seconds between two to a person, because Chatwoot sends them side by side."""
    assert (SENDER.text_max, SENDER.channel_rate.interval_ms, SENDER.person_rate.interval_ms) == (4096, 100, 1500)
    assert chatwoot.GATEWAY.sender is SENDER
