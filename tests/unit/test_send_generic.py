"""The generic gateway: the requests, what each response means, and own messages that come in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest

from gateways import generic
from gateways.base import BadRequest, Request
from gateways.generic_send import SENDER, request
from gateways.sending import InDoubt, Later, Misconfigured, Part, PartId, Refused, Sent, Target
from tests.replies import PART_ID, PHONE, fields, reply_to, response

KEY = b"k" * 24
TARGET = Target("https://me.example/replies?x=1", "whsec_" + base64.b64encode(KEY).decode())
PERSON = reply_to("generic", "loja")
NOW_S = 1_753_164_395.7


def test_one_post_for_each_part():
    """The body has the person, the number of the part and its text. The key names the part."""
    made = request(TARGET, PERSON, Part(text="olá"), PART_ID, clock=lambda: NOW_S)
    assert (made.method, made.url) == ("POST", TARGET.url)
    assert made.masked_url == "https://me.example/replies"
    assert json.loads(made.body) == {
        "conversation": PHONE,
        "channel": "loja",
        "part": 1,
        "parts": 2,
        "text": "olá",
        "in_reply_to": "M1",
    }
    digest = hmac.digest(KEY, f"{PART_ID}.1753164395.".encode() + made.body, hashlib.sha256)
    assert dict(made.headers) == {
        "content-type": "application/json",
        "idempotency-key": str(PART_ID),
        "webhook-id": str(PART_ID),
        "webhook-timestamp": "1753164395",
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }
    assert SENDER.own_id is None


@pytest.mark.parametrize(("secret", "token"), [("whsec_a2V5", None), ("plain", "Bearer plain")])
def test_a_plain_secret_is_a_bearer_token_too(secret, token):
    """A receiver without signatures compares it. A secret in the form of the specification is never sent."""
    made = SENDER.request(TARGET._replace(secret=secret), PERSON, Part(text="a"), PART_ID)
    assert made.headers.get("authorization") == token
    assert "webhook-signature" in made.headers


def test_without_a_secret_nothing_is_signed():
    """The key of the part is there all the same."""
    made = SENDER.request(TARGET._replace(secret=""), PERSON, Part(text="a"), PART_ID)
    assert set(made.headers) == {"content-type", "idempotency-key"}


@pytest.mark.parametrize(
    ("part", "content"),
    [
        (Part("image", "olha", "https://x.example/a"), {"image": "https://x.example/a", "caption": "olha"}),
        (Part("audio", None, "https://x.example/a"), {"audio": "https://x.example/a"}),
        (Part("video", None, "https://x.example/a"), {"video": "https://x.example/a"}),
        (
            Part("document", None, "https://x.example/a", "t.pdf"),
            {"document": "https://x.example/a", "filename": "t.pdf"},
        ),
    ],
)
def test_files_go_as_the_agent_wrote_them(part, content):
    """The kind is the name of the address."""
    made = fields(SENDER.request(TARGET, reply_to("generic", "loja", message_id=None), part, PartId("f", 2, 2)))
    assert made == {"conversation": PHONE, "channel": "loja", "part": 2, "parts": 2} | content


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (response(200, {"message_id": "R1"}), Sent("R1")),
        (response(202, {"message_id": 7}), Sent("7")),
        (response(204), Sent(None)),
        (response(200, b"ok"), Sent(None)),
        (response(200, {"message_id": []}), Sent(None)),
    ],
)
def test_a_success(answer, result):
    """Every 2xx is one, with an id or without."""
    assert SENDER.read(answer, PERSON) == result


@pytest.mark.parametrize(
    ("answer", "result", "words"),
    [
        (response(400, {"error": "no such person"}), Refused, "no such person"),
        (response(410), Refused, "410"),
        (response(413), Refused, "413"),
        (response(422), Refused, "422"),
        (response(401), Misconfigured, "GENERIC_REPLY_SECRET"),
        (response(403), Misconfigured, "GENERIC_REPLY_SECRET"),
        (response(404), Misconfigured, "GENERIC_REPLY_URL"),
        (response(405), Misconfigured, "405"),
        (response(415), Misconfigured, "415"),
        (response(307), Misconfigured, "redirects"),
        (response(429, b"", retry_after="3"), Later, "429"),
        (response(409), InDoubt, "409"),
        (response(500), InDoubt, "500"),
        (response(502), InDoubt, "502"),
        (response(503), InDoubt, "503"),
    ],
)
def test_what_a_response_means(answer, result, words):
    """Each class."""
    read = SENDER.read(answer, PERSON)
    assert type(read) is result
    assert words in read.reason


def test_there_are_no_limits():
    """No rate, and texts of any usual size."""
    assert SENDER.channel_rate.interval_ms == SENDER.person_rate.interval_ms == 0
    assert SENDER.text_max == 65_536
    assert SENDER.typing is SENDER.read_receipt is SENDER.probe is None
    assert generic.GATEWAY.sender is SENDER


def parse(**changes):
    body = {"conversation": PHONE, "text": "oi"} | changes
    (message,) = generic.parse(Request({}, {}, "", json.dumps(body).encode()))
    return message


@pytest.mark.parametrize(
    ("changes", "from_me", "extra"),
    [
        ({}, False, {}),
        ({"from_me": None, "via": None}, False, {}),
        ({"from_me": False, "via": "api"}, False, {}),
        ({"from_me": True, "via": "device"}, True, {}),
        ({"from_me": True, "via": "api"}, True, {"via_api": True}),
        ({"from_me": True}, True, {"via_api": True}),
    ],
)
def test_own_messages(changes, from_me, extra):
    """A message counts as a human's only if the sender says that it came from a device."""
    message = parse(**changes)
    assert (message.from_me, message.extra) == (from_me, extra)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"from_me": "true"}, "from_me"),
        ({"from_me": 1}, "from_me"),
        ({"from_me": True, "via": "phone"}, "via"),
        ({"via": []}, "via"),
    ],
)
def test_a_wrong_value_is_named(changes, name):
    """A mistake must not make the bot fall silent, or speak over a human."""
    if "from_me" not in changes:
        changes["from_me"] = True
    with pytest.raises(BadRequest, match=f"`{name}`"):
        parse(**changes)
