"""uazapi: the requests, and what each response means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways import uazapi
from gateways.sending import InDoubt, Later, Misconfigured, Part, Refused, Sent, Target
from gateways.uazapi_send import SENDER, no_template, plain_braces, text_size
from tests.replies import GROUP, LID, PART_ID, PHONE, fields, reply_to, response

TARGET = Target("https://loja.uazapi.com", "k3y")
PERSON = reply_to("uazapi", "eKoB39")


def test_a_text_goes_to_the_number():
    """The header has the token of the instance, and the body the mark of ours."""
    request = SENDER.request(TARGET, PERSON, Part(text="olá"), PART_ID)
    assert (request.method, request.url) == ("POST", "https://loja.uazapi.com/send/text")
    assert dict(request.headers) == {"token": "k3y", "content-type": "application/json"}
    assert fields(request) == {
        "number": PHONE,
        "text": "olá",
        "delay": 0,
        "linkPreview": False,
        "async": False,
        "track_source": "debouncer",
        "track_id": str(PART_ID),
    }
    assert SENDER.own_id(PART_ID) == str(PART_ID)


@pytest.mark.parametrize("peer", [PHONE, LID, GROUP])
def test_the_address_stays_as_it_came(peer):
    """Digits, a lid and a group go out unchanged."""
    assert fields(SENDER.request(TARGET, reply_to("uazapi", "e", peer), Part(text="a"), PART_ID))["number"] == peer


def test_a_group_quotes():
    """The first part to a group quotes the last message."""
    group = reply_to("uazapi", "e", GROUP, is_group=True)
    assert fields(SENDER.request(TARGET, group, Part(text="a"), PART_ID))["replyid"] == "M1"


@pytest.mark.parametrize("text", ["{{name}}", "a {{{b}}} c", "{{", "{" * 9, "{ {a} }"])
def test_no_text_is_a_template(text):
    """No two braces stand together in what is sent, captions included, and the joiner is not seen."""
    for part in (Part(text=text), Part("image", text, "https://x.example/a")):
        sent = fields(SENDER.request(TARGET, PERSON, part, PART_ID))["text"]
        assert "{{" not in sent
        assert sent.replace("\u200d", "") == text
        assert plain_braces(sent) == text


@given(st.text(alphabet="{}a \u200d"))
def test_the_size_counts_what_is_sent(text):
    """A text that grows by its joiners is measured as it is sent."""
    assert text_size(text) == len(no_template(text)) >= len(text)


@pytest.mark.parametrize(
    ("part", "body"),
    [
        (
            Part("image", "olha", "https://x.example/a"),
            {"type": "image", "file": "https://x.example/a", "text": "olha"},
        ),
        (Part("audio", None, "https://x.example/a"), {"type": "ptt", "file": "https://x.example/a"}),
        (
            Part("document", None, "https://x.example/a", "t.pdf"),
            {"type": "document", "file": "https://x.example/a", "docName": "t.pdf"},
        ),
    ],
)
def test_files(part, body):
    """A file goes by its address, with the mark of ours."""
    request = SENDER.request(TARGET, PERSON, part, PART_ID)
    assert request.url == "https://loja.uazapi.com/send/media"
    mark = {"track_source": "debouncer", "track_id": str(PART_ID)}
    assert fields(request) == {"number": PHONE} | mark | body


@pytest.mark.parametrize(
    ("body", "message_id"),
    [
        ({"id": "5511900000000:3EB0AA", "messageid": "3EB0AB"}, "3EB0AB"),
        ({"id": "5511900000000:3EB0AA"}, "3EB0AA"),
        ({"messageId": "3EB0AC"}, "3EB0AC"),
        ({"key": {"id": "3EB0AD"}}, "3EB0AD"),
    ],
)
def test_the_id_in_every_form(body, message_id):
    """The id is WhatsApp's own, without the number of the instance."""
    assert SENDER.read(response(200, body), PERSON) == Sent(message_id)


GONE = "error sending message after 2 attempts: failed to get group members: that group does not exist"


@pytest.mark.parametrize(
    ("answer", "result", "words"),
    [
        (response(200, {}), InDoubt, "without the id"),
        (response(200, {"id": "5511900000000:"}), InDoubt, "without the id"),
        (response(200, b"<html>"), InDoubt, "an HTML page"),
        (
            response(503, {"error": True, "message": "WhatsApp disconnected: session is not reconnectable"}),
            Misconfigured,
            "not connected",
        ),
        (response(503, b""), Later, "503"),
        (response(401, {"error": "Invalid token"}), Misconfigured, "UAZAPI_TOKEN"),
        (response(401, {"message": "logged out from another device"}), Misconfigured, "logged out"),
        (response(500, {"error": GONE}), Refused, "does not exist"),
        (response(500, {"error": "server returned error 463"}), Refused, "new conversations"),
        (response(403, {"error": "reachout_timelock"}), Refused, "new conversations"),
        (response(400, {"error": "Missing number"}), Refused, "Missing number"),
        (response(404), Misconfigured, "UAZAPI_URL"),
        (response(429), Later, "429"),
        (response(500, {"error": "error sending message after 2 attempts: timeout"}), InDoubt, "timeout"),
        (response(502), InDoubt, "502"),
        (response(308), Misconfigured, "redirects"),
    ],
)
def test_what_a_response_means(answer, result, words):
    """Each row of the table."""
    read = SENDER.read(answer, PERSON)
    assert type(read) is result
    assert words in read.reason


def test_typing_and_read_receipt():
    """Typing lasts until the reply, or half a minute if there is none, and a read receipt names the message."""
    typing = SENDER.typing(TARGET, PERSON)
    assert typing.url == "https://loja.uazapi.com/message/presence"
    assert fields(typing) == {"number": PHONE, "presence": "composing", "delay": 30_000}
    assert SENDER.typing_lasts_s == 30
    assert fields(SENDER.read_receipt(TARGET, PERSON)) == {"id": ["M1"]}
    assert SENDER.read_receipt(TARGET, reply_to("uazapi", "e", message_id=None)) is None


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (response(200, {"instance": {"status": "connected"}}), None),
        (response(200, {"status": {"connected": True}}), None),
        (response(200, {"instance": {"status": "disconnected"}, "status": {"connected": False}}), "not connected"),
        (response(401), "UAZAPI_TOKEN"),
    ],
)
def test_the_probe(answer, wrong):
    """The state of the instance is told in one sentence."""
    assert SENDER.probe(TARGET, PERSON.conversation).url == "https://loja.uazapi.com/instance/status"
    read = SENDER.read_probe(answer)
    assert read is None if wrong is None else wrong in read


def test_the_gateway_has_the_sender():
    """The record of the gateway leads to its sender."""
    assert uazapi.GATEWAY.sender is SENDER
