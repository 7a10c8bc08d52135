"""WAHA: the requests, and what each response means."""

from __future__ import annotations

import pytest

from gateways import waha
from gateways.sending import InDoubt, Later, Misconfigured, Part, Refused, Sent, Target
from gateways.waha_send import SENDER, STARTING_S, STRIKES, whatsapp_id_in
from tests.replies import GROUP, LID, PART_ID, PHONE, fields, reply_to, response

TARGET = Target("https://waha.example.com", "k3y")
PERSON = reply_to("waha", "default")
CHAT = f"{PHONE}@c.us"


def test_a_text_goes_to_the_chat():
    """The body has the session, the chat with its host, the text and the id of ours."""
    request = SENDER.request(TARGET, PERSON, Part(text="olá"), PART_ID)
    assert (request.method, request.url) == ("POST", "https://waha.example.com/api/sendText")
    assert dict(request.headers) == {"x-api-key": "k3y", "content-type": "application/json"}
    assert fields(request) == {
        "session": "default",
        "chatId": CHAT,
        "text": "olá",
        "linkPreview": True,
        "id": SENDER.own_id(PART_ID),
    }


@pytest.mark.parametrize(("peer", "chat"), [(PHONE, CHAT), (LID, LID), (GROUP, GROUP)])
def test_the_chat(peer, chat):
    """A phone's digits get WAHA's host, and other addresses stay."""
    assert fields(SENDER.request(TARGET, reply_to("waha", "s", peer), Part(text="a"), PART_ID))["chatId"] == chat


def test_a_group_quotes():
    """The first part to a group quotes the last message by its full id."""
    group = reply_to("waha", "s", GROUP, is_group=True, message_id="false_1@g.us_3EB0_2@c.us")
    assert fields(SENDER.request(TARGET, group, Part(text="a"), PART_ID))["reply_to"] == "false_1@g.us_3EB0_2@c.us"


@pytest.mark.parametrize(
    ("part", "path", "body"),
    [
        (
            Part("image", "olha", "https://x.example/a.png?v=1"),
            "sendImage",
            {"file": {"url": "https://x.example/a.png?v=1", "mimetype": "image/png"}, "caption": "olha"},
        ),
        (
            Part("video", None, "https://x.example/a"),
            "sendVideo",
            {"file": {"url": "https://x.example/a", "mimetype": "video/mp4"}},
        ),
        (
            Part("document", None, "https://x.example/x", "t.pdf"),
            "sendFile",
            {"file": {"url": "https://x.example/x", "mimetype": "application/pdf", "filename": "t.pdf"}},
        ),
        (
            Part("audio", "x", "https://x.example/a.ogg"),
            "sendVoice",
            {"file": {"url": "https://x.example/a.ogg", "mimetype": "audio/ogg; codecs=opus"}, "convert": True},
        ),
    ],
)
def test_files(part, path, body):
    """A file goes by its address with its media type, and takes no id of ours."""
    request = SENDER.request(TARGET, PERSON, part, PART_ID)
    assert request.url == f"https://waha.example.com/api/{path}"
    assert fields(request) == {"session": "default", "chatId": CHAT} | body


TABLE = [
    (response(201, {"key": {"remoteJid": CHAT, "fromMe": True, "id": "3EB0AA"}}), Sent("3EB0AA")),
    (response(201, {"id": {"fromMe": True, "id": "3EB0AB", "_serialized": f"true_{CHAT}_3EB0AB"}}), Sent("3EB0AB")),
    (response(201, {"id": {"id": "3EB0AC"}}), Sent("3EB0AC")),
    (response(201, {"id": f"true_{GROUP}_3EB0AD_{CHAT}"}), Sent("3EB0AD")),
    (response(201, {"id": "3EB0AE"}), Sent("3EB0AE")),
    (response(201), Sent(None)),
    (response(201, b" \n"), Sent(None)),
]


@pytest.mark.parametrize(("answer", "result"), TABLE)
def test_the_id_in_every_form(answer, result):
    """Each engine has its form, and an empty body is a success too."""
    assert SENDER.read(answer, PERSON) == result


NOT_WORKING = "Session status is not as expected. Try again later or restart the session"


@pytest.mark.parametrize(
    ("answer", "result", "words"),
    [
        (response(201, {}), InDoubt, "without the id"),
        (response(200, b"<html>"), InDoubt, "an HTML page"),
        (response(401, {"message": "Unauthorized", "statusCode": 401}), Misconfigured, "WAHA_API_KEY"),
        (response(404, {"message": "Session not found"}), Misconfigured, "Session not found"),
        (response(422, {"error": NOT_WORKING, "status": "STARTING", "expected": ["WORKING"]}), Later, "starting"),
        (response(422, {"error": NOT_WORKING, "status": "SCAN_QR_CODE", "expected": ["WORKING"]}), Misconfigured, "QR"),
        (response(422, {"error": NOT_WORKING, "status": "FAILED", "expected": ["WORKING"]}), Misconfigured, "FAILED"),
        (response(422, {"message": "WAHA Core support only 'default' session"}), Misconfigured, "WAHA Core"),
        (response(422, {"message": "the text is odd"}), Refused, "does not accept"),
        (response(400, {"message": ["text must be a string"]}), Refused, "text must be"),
        (response(500, {"message": "No sessions"}), InDoubt, "No sessions"),
        (response(500, {"exception": {"message": "server returned error 400"}}), InDoubt, "error 400"),
        (response(500, {"exception": {"message": "server returned error 463"}}), Refused, "new conversations"),
        (response(500, {"message": "Protocol error"}), InDoubt, "Protocol error"),
        (response(429), Later, "429"),
        (response(503), Later, "503"),
        (response(502), InDoubt, "502"),
        (response(307), Misconfigured, "redirects"),
        (response(413), Refused, "413"),
    ],
)
def test_what_a_response_means(answer, result, words):
    """Each row of the table."""
    read = SENDER.read(answer, PERSON)
    assert type(read) is result
    assert words in read.reason


def test_a_sick_session_is_told_by_several_people():
    """The same error for several people in a row is the session's."""
    assert SENDER.read(response(500, {"message": "No sessions"}), PERSON).strikes == STRIKES
    starting = SENDER.read(response(422, {"error": NOT_WORKING, "status": "STARTING"}), PERSON)
    assert (starting.after_s, starting.whole_channel) == (STARTING_S, True)


@pytest.mark.parametrize(
    ("written", "bare"),
    [
        ("true_5511900000001@c.us_3EB0AA", "3EB0AA"),
        ("true_1@g.us_3EB0AA_2@c.us", "3EB0AA"),
        ("true_1@g.us_3EB0AA_2@lid", "3EB0AA"),
        ("3EB0AA", "3EB0AA"),
        ("", None),
        (None, None),
        ("true_loja_1@c.us_3EB0AA", "3EB0AA"),
        ("true_1@c.us", None),
        ("_", None),
    ],
)
def test_whatsapps_own_id(written, bare):
    """Only the part that looks like an id is compared."""
    assert whatsapp_id_in(written) == bare


def test_typing_and_read_receipt():
    """They name the session and the chat, and nothing else."""
    for request, path in (
        (SENDER.stop_typing(TARGET, PERSON), "stopTyping"),
        (SENDER.typing(TARGET, PERSON), "startTyping"),
        (SENDER.read_receipt(TARGET, PERSON), "sendSeen"),
    ):
        assert request.url == f"https://waha.example.com/api/{path}"
        assert fields(request) == {"session": "default", "chatId": CHAT}


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (response(200, {"status": "WORKING"}), None),
        (response(200, {"status": "SCAN_QR_CODE"}), "SCAN_QR_CODE"),
        (response(200, b"<html>"), "missing"),
        (response(404), "session exists"),
    ],
)
def test_the_probe(answer, wrong):
    """The state of the session is told in one sentence."""
    assert SENDER.probe(TARGET, PERSON.conversation).url == "https://waha.example.com/api/sessions/default"
    read = SENDER.read_probe(answer)
    assert read is None if wrong is None else wrong in read


def test_the_gateway_has_the_sender():
    """The record of the gateway leads to its sender."""
    assert waha.GATEWAY.sender is SENDER
