"""Z-API: the requests, and what each response means."""

from __future__ import annotations

import pytest

from gateways import zapi
from gateways.sending import InDoubt, Later, Misconfigured, Part, Refused, Sent, Target
from gateways.zapi_send import SENDER
from tests.replies import LID, PART_ID, PHONE, fields, reply_to, response

TARGET = Target("https://api.z-api.io", "cl13nt", "t0k3n")
BASE = "https://api.z-api.io/instances/3E4F/token/t0k3n"
PERSON = reply_to("zapi", "3E4F")
GROUP = "120363019502650977-group"


def test_a_text_goes_to_the_instance():
    """The path has the id and the token of the instance, and the header that of the account."""
    request = SENDER.request(TARGET, PERSON, Part(text="olá"), PART_ID)
    assert (request.method, request.url) == ("POST", f"{BASE}/send-text")
    assert dict(request.headers) == {"client-token": "cl13nt", "content-type": "application/json"}
    assert fields(request) == {"phone": PHONE, "message": "olá"}


def test_the_token_is_not_in_the_address_that_is_shown():
    """The address for logs has stars for the token."""
    shown = "https://api.z-api.io/instances/3E4F/token/***/send-text"
    assert SENDER.request(TARGET, PERSON, Part(text="a"), PART_ID).masked_url == shown
    assert "t0k3n" not in SENDER.probe(TARGET, PERSON.conversation).masked_url


@pytest.mark.parametrize("peer", [PHONE, LID, GROUP])
def test_the_address_stays_as_it_came(peer):
    """Digits, a lid and a group go out unchanged."""
    assert fields(SENDER.request(TARGET, reply_to("zapi", "3E4F", peer), Part(text="a"), PART_ID))["phone"] == peer


def test_a_group_quotes():
    """The field of a quote is called `messageId`."""
    group = reply_to("zapi", "3E4F", GROUP, is_group=True)
    assert fields(SENDER.request(TARGET, group, Part(text="a"), PART_ID))["messageId"] == "M1"


@pytest.mark.parametrize(
    ("part", "path", "body"),
    [
        (
            Part("image", "olha", "https://x.example/a"),
            "send-image",
            {"image": "https://x.example/a", "caption": "olha"},
        ),
        (Part("video", None, "https://x.example/a"), "send-video", {"video": "https://x.example/a"}),
        (Part("audio", "x", "https://x.example/a"), "send-audio", {"audio": "https://x.example/a"}),
        (
            Part("document", None, "https://x.example/a", "t.XLSX"),
            "send-document/xlsx",
            {"document": "https://x.example/a", "fileName": "t.XLSX"},
        ),
        (Part("document", None, "https://x.example/a"), "send-document/pdf", {"document": "https://x.example/a"}),
        (
            Part("document", None, "https://x.example/a.docx?x=../../y"),
            "send-document/docx",
            {"document": "https://x.example/a.docx?x=../../y"},
        ),
    ],
)
def test_files(part, path, body):
    """Each kind of file has its path, and a document's extension is in it."""
    request = SENDER.request(TARGET, PERSON, part, PART_ID)
    assert request.url == f"{BASE}/{path}"
    assert fields(request) == {"phone": PHONE} | body


@pytest.mark.parametrize(
    ("answer", "result", "words"),
    [
        (response(200, {"zaapId": "1"}), InDoubt, "without the id"),
        (response(200, b"<html>"), InDoubt, "an HTML page"),
        (response(400, {"error": "null not allowed"}), Misconfigured, "ZAPI_CLIENT_TOKEN"),
        (response(403, {"error": "Client-Token not allowed"}), Misconfigured, "ZAPI_CLIENT_TOKEN"),
        (response(400, {"error": f"the phone {PHONE} is invalid"}), Refused, "number"),
        (response(400, {"error": "Instance not found"}), Misconfigured, "Instance not found"),
        (response(401), Misconfigured, "ZAPI_INSTANCE_TOKEN"),
        (response(404), Misconfigured, "ZAPI_URL"),
        (response(405), Misconfigured, "405"),
        (response(415), Misconfigured, "415"),
        (response(429), Later, "429"),
        (response(500, {"error": "x"}), InDoubt, "500"),
        (response(503), InDoubt, "503"),
        (response(504), InDoubt, "504"),
        (response(301), Misconfigured, "redirects"),
    ],
)
def test_what_a_response_means(answer, result, words):
    """Each row of the table."""
    read = SENDER.read(answer, PERSON)
    assert type(read) is result
    assert words in read.reason
    assert PHONE not in read.reason


def test_the_id_of_the_message_is_returned():
    """A message that is queued has its id."""
    assert SENDER.read(response(200, {"zaapId": "1", "messageId": "D241", "id": "D241"}), PERSON) == Sent("D241")


def test_there_is_no_mark_and_no_typing():
    """Z-API takes no id of ours, and shows typing only as a part of a send."""
    assert SENDER.own_id is None
    assert SENDER.typing is None


def test_read_receipt():
    """The last message is marked as read. Without an id there is nothing to mark."""
    request = SENDER.read_receipt(TARGET, PERSON)
    assert request.url == f"{BASE}/read-message"
    assert fields(request) == {"phone": PHONE, "messageId": "M1"}
    assert SENDER.read_receipt(TARGET, reply_to("zapi", "3E4F", message_id=None)) is None


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (response(200, {"connected": True, "smartphoneConnected": True}), None),
        (response(200, {"connected": True, "smartphoneConnected": False}), "offline"),
        (response(200, {"connected": False, "error": "You need to be connected"}), "You need to be connected"),
        (response(200, b"x"), "not connected"),
        (response(404), "ZAPI_URL"),
    ],
)
def test_the_probe(answer, wrong):
    """The state of the instance and of its phone is told in one sentence."""
    read = SENDER.read_probe(answer)
    assert read is None if wrong is None else wrong in read


def test_the_gateway_has_the_sender():
    """The record of the gateway leads to its sender."""
    assert zapi.GATEWAY.sender is SENDER
