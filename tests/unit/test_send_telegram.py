"""Telegram: the requests, what each response means, and whose messages come in."""

from __future__ import annotations

import json

import pytest

from gateways import telegram
from gateways.base import Request
from gateways.sending import Again, InDoubt, Later, Misconfigured, Part, PartId, Refused, Sent, Target
from gateways.telegram_send import RETRY_AFTER_S, SENDER, place_of
from tests.replies import PART_ID, fields, reply_to, response

TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
TARGET = Target("https://api.telegram.org", TOKEN)
PERSON = reply_to("telegram", "default", "1111111", message_id="45")
GROUP = reply_to("telegram", "default", "-1001234567890", is_group=True, message_id="45", participant="1111111")
QUOTE = {"reply_parameters": {"message_id": 45, "allow_sending_without_reply": True}}


def test_a_text_goes_to_the_chat():
    """The token is in the address and nowhere shown. No `parse_mode`, so no text can be refused for its signs."""
    request = SENDER.request(TARGET, PERSON, Part(text="olá *você_"), PART_ID)
    assert (request.method, request.url) == ("POST", f"https://api.telegram.org/bot{TOKEN}/sendMessage")
    assert fields(request) == {
        "chat_id": 1111111,
        "text": "olá *você_",
        "link_preview_options": {"is_disabled": True},
    }
    assert TOKEN not in request.masked_url
    assert request.masked_url == "https://api.telegram.org/bot***/sendMessage"
    assert SENDER.own_id is None


@pytest.mark.parametrize(
    ("peer", "is_group", "place"),
    [
        ("1111111", False, {"chat_id": 1111111}),
        ("-1001234567890", True, {"chat_id": -1001234567890}),
        ("-1001234567890:7", True, {"chat_id": -1001234567890, "message_thread_id": 7}),
        ("1111111:7", False, {"chat_id": 1111111, "message_thread_id": 7}),
        ("-1001234567890:7", False, {"chat_id": -1001234567890, "direct_messages_topic_id": 7}),
        ("1111111@bc_1-X", False, {"chat_id": 1111111, "business_connection_id": "bc_1-X"}),
        (
            "1111111@bc:7",
            False,
            {"chat_id": 1111111, "business_connection_id": "bc", "message_thread_id": 7},
        ),
    ],
)
def test_the_place(peer, is_group, place):
    """A topic and a business connection are answered where they are, as is a topic of messages to a channel."""
    person = reply_to("telegram", "default", peer, is_group=is_group, message_id=None)
    made = fields(SENDER.request(TARGET, person, Part(text="a"), PART_ID))
    assert {name: made[name] for name in made.keys() - {"text", "link_preview_options"}} == place
    assert place_of(peer).peer() == peer


@pytest.mark.parametrize(("message_id", "quote"), [("45", QUOTE), ("reaction:7:9", {}), (str(2**40), {}), (None, {})])
def test_the_first_part_to_a_group_quotes(message_id, quote):
    """Only what is the id of a message is quoted: a tap or a vote is none."""
    person = GROUP._replace(last=dict(GROUP.last) | {"message_id": message_id})
    first, second = (fields(SENDER.request(TARGET, person, Part(text="a"), PartId("f", n, 2))) for n in (1, 2))
    assert {name: first[name] for name in first if name == "reply_parameters"} == quote
    assert "reply_parameters" not in second


@pytest.mark.parametrize(
    ("part", "method", "body"),
    [
        (Part("image", "a", "https://x.example/a"), "sendPhoto", {"photo": "https://x.example/a", "caption": "a"}),
        (
            Part("audio", "a", "https://x.example/a.ogg?b"),
            "sendVoice",
            {"voice": "https://x.example/a.ogg?b", "caption": "a"},
        ),
        (Part("audio", None, "https://x.example/a.mp3"), "sendAudio", {"audio": "https://x.example/a.mp3"}),
        (Part("video", None, "https://x.example/a"), "sendVideo", {"video": "https://x.example/a"}),
        (Part("document", None, "https://x.example/a", "t.pdf"), "sendDocument", {"document": "https://x.example/a"}),
    ],
)
def test_files(part, method, body):
    """Each kind has a method of its own. Ogg is a voice message, and other audio is a track."""
    request = SENDER.request(TARGET, PERSON, part, PART_ID)
    assert request.url.endswith(f"/{method}")
    assert fields(request) == {"chat_id": 1111111} | body


def failed(code, description="x", **parameters):
    body = {"ok": False, "error_code": code, "description": description}
    return response(code, body | ({"parameters": parameters} if parameters else {}))


@pytest.mark.parametrize(
    ("answer", "result", "words"),
    [
        (response(200, {"ok": True}), InDoubt, "without the id"),
        (response(200, {"ok": True, "result": []}), InDoubt, "without the id"),
        (response(200, {"result": {"message_id": 1}}), InDoubt, "without the id"),
        (response(200, b"<html>"), InDoubt, "an HTML page"),
        (failed(400, "Bad Request: chat not found"), Refused, "chat not found"),
        (failed(400, "Bad Request: message is too long"), Refused, "too long"),
        (failed(400, "Bad Request: have no rights to send a message"), Refused, "no rights"),
        (failed(400, "Bad Request: PEER_ID_INVALID"), Refused, "PEER_ID_INVALID"),
        (failed(400, "Bad Request: message thread not found"), Refused, "thread"),
        (failed(401, "Unauthorized"), Misconfigured, "TELEGRAM_BOT_TOKEN"),
        (failed(404, "Not Found"), Misconfigured, "TELEGRAM_URL"),
        (failed(403, "Forbidden: bot was blocked by the user"), Refused, "blocked"),
        (failed(403, "Forbidden: user is deactivated"), Refused, "deactivated"),
        (failed(403, "Forbidden: bot was kicked from the group chat"), Refused, "kicked"),
        (failed(403, "Forbidden: bot can't initiate conversation with a user"), Refused, "initiate"),
        (failed(409, "Conflict"), Misconfigured, "another program"),
        (failed(429, "Too Many Requests: retry after 34", retry_after=34), Later, "too many"),
        (failed(500, "Internal Server Error"), InDoubt, "500"),
        (failed(503), InDoubt, "503"),
        (response(502, b"<html>"), InDoubt, "502"),
        (response(413, b""), Refused, "413"),
        (response(302, b""), Misconfigured, "redirects"),
        (response(200, {"ok": False, "error_code": 403, "description": "Forbidden"}), Refused, "blocked"),
        (response(200, {"ok": False, "error_code": 200}), InDoubt, "without the id"),
        (response(418, {"ok": False, "error_code": {}}), InDoubt, "418"),
    ],
)
def test_what_a_response_means(answer, result, words):
    """Each row of the table."""
    read = SENDER.read(answer, GROUP)
    assert type(read) is result
    assert words in read.reason


def test_a_success():
    """The id has the chat before it, because each chat counts its messages from 1."""
    body = {"ok": True, "result": {"message_id": 46, "chat": {"id": 1111111}}}
    assert SENDER.read(response(200, body), PERSON) == Sent("1111111:46")
    assert SENDER.read(response(200, body), GROUP) == Sent("-1001234567890:46")


@pytest.mark.parametrize(
    ("written", "seconds"),
    [(34, 34.0), ("7", 7.0), (None, RETRY_AFTER_S), (-1, RETRY_AFTER_S), (10**9, 3600.0), ({}, RETRY_AFTER_S)],
)
def test_retry_after(written, seconds):
    """The wait is Telegram's, for this chat."""
    read = SENDER.read(failed(429, retry_after=written), PERSON)
    assert (read.after_s, read.whole_channel) == (seconds, False)


def test_retry_after_of_a_proxy():
    """A 429 without Telegram's own field waits as its header says."""
    assert SENDER.read(response(429, b"slow down", retry_after="20"), PERSON).after_s == 20
    assert SENDER.read(response(429, b"slow down"), PERSON).after_s == RETRY_AFTER_S


@pytest.mark.parametrize(
    ("peer", "moved"),
    [("-5", "-1009"), ("-5:7", "-1009:7"), ("-5@bc", "-1009@bc")],
)
def test_a_group_that_moved_is_answered_at_its_new_id(peer, moved):
    """The next request goes to the new chat, and to the same topic there."""
    group = reply_to("telegram", "default", peer, is_group=True, message_id="45")
    read = SENDER.read(failed(400, "Bad Request: group chat was upgraded", migrate_to_chat_id=-1009), group)
    assert isinstance(read, Again)
    assert read.reply_to.conversation.peer == moved
    assert fields(SENDER.request(TARGET, read.reply_to, Part(text="a"), PART_ID))["chat_id"] == -1009


@pytest.mark.parametrize(
    "description", ["message to be replied not found", "replied message not found", "REPLY_MESSAGE_ID_INVALID"]
)
def test_a_quote_that_is_gone_is_left_out(description):
    """The next request has no quote. If it fails for the same reason the part is refused."""
    read = SENDER.read(failed(400, f"Bad Request: {description}"), GROUP)
    assert isinstance(read, Again)
    assert "reply_parameters" not in fields(SENDER.request(TARGET, read.reply_to, Part(text="a"), PART_ID))
    assert isinstance(SENDER.read(failed(400, f"Bad Request: {description}"), read.reply_to), Refused)


@pytest.mark.parametrize(
    "description",
    [
        "failed to get HTTP URL content",
        "wrong type of the web page content",
        "wrong file identifier/HTTP URL specified",
    ],
)
def test_a_file_that_cannot_be_loaded_goes_as_a_link(description):
    """Telegram loads the file before it sends, so nothing was sent."""
    read = SENDER.read(failed(400, f"Bad Request: {description}"), PERSON)
    assert isinstance(read, Again)
    assert read.as_link


def test_typing_and_read_receipt():
    """Typing goes to the place of the answer, and only chats of a business account can be marked as read."""
    topic = reply_to("telegram", "default", "-100:7", is_group=True)
    assert fields(SENDER.typing(TARGET, topic)) == {"chat_id": -100, "message_thread_id": 7, "action": "typing"}
    assert SENDER.typing(TARGET, PERSON).masked_url == "https://api.telegram.org/bot***/sendChatAction"
    assert SENDER.typing(TARGET, reply_to("telegram", "default", "-100:7")) is None
    assert SENDER.typing_lasts_s == 4.5
    business = reply_to("telegram", "default", "1111111@bc", message_id="45")
    assert fields(SENDER.read_receipt(TARGET, business)) == {
        "business_connection_id": "bc",
        "chat_id": 1111111,
        "message_id": 45,
    }
    assert SENDER.read_receipt(TARGET, PERSON) is None


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (response(200, {"ok": True, "result": {}}), None),
        (response(200, b"<html>"), "answered 200"),
        (failed(401), "TELEGRAM_BOT_TOKEN"),
    ],
)
def test_the_probe(answer, wrong):
    """The bot is asked for."""
    request = SENDER.probe(TARGET, PERSON.conversation)
    assert request.masked_url == "https://api.telegram.org/bot***/getMe"
    read = SENDER.read_probe(answer)
    assert read is None if wrong is None else wrong in read


def test_the_limits():
    """4,096 UTF-16 units, captions of 1,024, 30 messages a second, one in a chat, 20 a minute in a group."""
    assert (SENDER.text_max, SENDER.caption_max, SENDER.text_size("é😀")) == (4096, 1024, 3)
    assert 1000 / SENDER.channel_rate.interval_ms < 30
    assert SENDER.person_rate.interval_ms >= 1000
    assert 60_000 / SENDER.group_rate.interval_ms < 20
    assert telegram.GATEWAY.sender is SENDER


def business(sender, **beside):
    message = {"message_id": 9, "date": 1753164395, "chat": {"id": 1111111, "type": "private"}, "from": sender}
    body = {"business_message": message | {"business_connection_id": "bc", "text": "oi"} | beside}
    (event,) = telegram.parse(Request({}, {}, "", json.dumps(body).encode()))
    return event.from_me, event.extra.get("via_api")


def test_whose_a_business_message_is():
    """The owner writes on a device, and a bot in the owner's name does not. The person is neither."""
    assert business({"id": 2222222}) == (True, None)
    assert business({"id": 2222222}, sender_business_bot={"id": 3, "is_bot": True}) == (True, True)
    assert business({"id": 3, "is_bot": True}) == (True, True)
    assert business({"id": 1111111}) == (False, None)
