"""Meta: the requests, what each response means, and the statuses that come later."""

from __future__ import annotations

import json

import pytest

from buffer.models import DeliveryStatus, Ignored
from gateways import meta
from gateways.base import Request
from gateways.meta_errors import PAIR_LIMIT_GROWTH, PAIR_LIMIT_S
from gateways.meta_send import SENDER
from gateways.sending import InDoubt, Later, Misconfigured, Part, PartId, Refused, Sent, Target
from tests.replies import PART_ID, PHONE, fields, reply_to, response

TARGET = Target("https://graph.facebook.com/v26.0", "k3y")
NUMBER_ID = "106540352242922"
PERSON = reply_to("meta", NUMBER_ID, message_id="wamid.1")
USER_ID = "BR.13491208655302741918"
GROUP = "Y2FwaV9ncm91cDox"
URL = f"https://graph.facebook.com/v26.0/{NUMBER_ID}"


def test_a_text_goes_to_the_phone():
    """The path has the phone number id, the header the token, and the body the mark of ours."""
    request = SENDER.request(TARGET, PERSON, Part(text="olá"), PART_ID)
    assert (request.method, request.url) == ("POST", f"{URL}/messages")
    assert dict(request.headers) == {"authorization": "Bearer k3y", "content-type": "application/json"}
    assert fields(request) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": PHONE,
        "type": "text",
        "text": {"preview_url": False, "body": "olá"},
        "biz_opaque_callback_data": str(PART_ID),
    }
    assert SENDER.own_id(PART_ID) == str(PART_ID)


@pytest.mark.parametrize(
    ("peer", "is_group", "named"),
    [
        (PHONE, False, {"recipient_type": "individual", "to": PHONE}),
        (USER_ID, False, {"recipient_type": "individual", "recipient": USER_ID}),
        (GROUP, True, {"recipient_type": "group", "to": GROUP}),
    ],
)
def test_the_person_is_named_by_what_is_known(peer, is_group, named):
    """A phone and a group go into `to`, and a user id without a phone into `recipient`."""
    made = fields(SENDER.request(TARGET, reply_to("meta", "1", peer, is_group=is_group), Part(text="a"), PART_ID))
    assert {name: made.get(name) for name in ("recipient_type", "to", "recipient") if name in made} == named


def test_the_first_part_to_a_group_quotes():
    """The other parts and private chats have no context."""
    group = reply_to("meta", "1", GROUP, is_group=True, message_id="wamid.9")
    first, second = (fields(SENDER.request(TARGET, group, Part(text="a"), PartId("f", n, 2))) for n in (1, 2))
    assert first["context"] == {"message_id": "wamid.9"}
    assert "context" not in second
    assert "context" not in fields(SENDER.request(TARGET, PERSON, Part(text="a"), PART_ID))


@pytest.mark.parametrize(
    ("part", "content"),
    [
        (Part("image", "olha", "https://x.example/a"), {"link": "https://x.example/a", "caption": "olha"}),
        (Part("video", None, "https://x.example/a", "v.mp4"), {"link": "https://x.example/a"}),
        (Part("audio", "x", "https://x.example/a", "a.ogg"), {"link": "https://x.example/a"}),
        (
            Part("document", "olha", "https://x.example/a", "t.pdf"),
            {"link": "https://x.example/a", "caption": "olha", "filename": "t.pdf"},
        ),
    ],
)
def test_files(part, content):
    """A file goes by its address. Audio has no caption, and only a document has a name."""
    made = fields(SENDER.request(TARGET, PERSON, part, PART_ID))
    assert made["type"] == part.kind
    assert made[part.kind] == content


def error(code, message="x", **beside):
    return {"error": {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "A"} | beside}


NO_PHONE = {"details": "Object with ID 'phone_number_id' does not exist"}


@pytest.mark.parametrize(
    ("answer", "result", "words"),
    [
        (response(200, {"messages": []}), InDoubt, "without the id"),
        (response(200, {"messages": [{"id": None}]}), InDoubt, "without the id"),
        (response(200, b"<html>"), InDoubt, "an HTML page"),
        (response(200, error(131047)), Refused, "24 hours"),
        (response(401, error(0)), Misconfigured, "access token"),
        (response(400, error(190)), Misconfigured, "access token"),
        (response(500, error(190)), Misconfigured, "access token"),
        (response(403, error(3)), Misconfigured, "access token"),
        (response(403, error(10)), Misconfigured, "access token"),
        (response(403, error(200)), Misconfigured, "access token"),
        (response(403, error(299)), Misconfigured, "access token"),
        (response(400, error(33)), Misconfigured, "phone number id"),
        (response(400, error(100, error_data=NO_PHONE)), Misconfigured, "phone number id"),
        (response(400, error(100, "Param to must be a phone")), Refused, "recipient"),
        (response(403, error(368)), Misconfigured, "blocked or restricted"),
        (response(403, error(131031)), Misconfigured, "blocked or restricted"),
        (response(400, error(131042)), Misconfigured, "payment"),
        (response(400, error(133010)), Misconfigured, "not registered"),
        (response(500, error(131045)), Misconfigured, "certificate"),
        (response(400, error(4)), Later, "more than Meta allows"),
        (response(400, error(80007)), Later, "more than Meta allows"),
        (response(429, error(130429)), Later, "messages a second"),
        (response(400, error(131056)), Later, "to this person"),
        (response(429, error(131056)), Later, "to this person"),
        (response(400, error(131048)), Refused, "spam"),
        (response(429, error(131049)), Refused, "marketing"),
        (response(400, error(131047)), Refused, "only a template"),
        (response(400, error(131026)), Refused, "cannot be delivered"),
        (response(400, error(131021)), Refused, "the same number"),
        (response(400, error(130472)), Refused, "experiment"),
        (response(400, error(131008)), Refused, "report it"),
        (response(400, error(131009)), Refused, "report it"),
        (response(400, error(131051)), Refused, "report it"),
        (response(500, error(1)), InDoubt, "unknown error"),
        (response(500, error(131000)), InDoubt, "unknown error"),
        (response(503, error(2)), Later, "not available"),
        (response(500, error(131016)), Later, "not available"),
        (response(403, error(131057)), Later, "maintains"),
        (response(403, error(133004)), Later, "not available"),
        (response(400, error(999_999, "odd")), Refused, "odd"),
        (response(500, error(999_999, "odd")), InDoubt, "odd"),
        (response(401, b""), Misconfigured, "META_ACCESS_TOKEN"),
        (response(404, b""), Misconfigured, "META_URL"),
        (response(429, b"", retry_after="7"), Later, "429"),
        (response(503, b""), Later, "503"),
        (response(500, b""), InDoubt, "500"),
        (response(502, b"<html>"), InDoubt, "502"),
        (response(400, b"<html>"), InDoubt, "400"),
        (response(413, b""), Refused, "413"),
        (response(308, b""), Misconfigured, "redirects"),
    ],
)
def test_what_a_response_means(answer, result, words):
    """Each row of the table: the code decides, then the status."""
    read = SENDER.read(answer, PERSON)
    assert type(read) is result
    assert words in read.reason


def test_a_success():
    """The id is that of the message, whatever form the person's number comes back in."""
    body = {"contacts": [{"input": PHONE, "wa_id": "551100000001"}], "messages": [{"id": "wamid.X"}]}
    assert SENDER.read(response(200, body), PERSON) == Sent("wamid.X")


@pytest.mark.parametrize(
    ("code", "after_s", "whole_channel", "growth"),
    [(4, 60, True, 1), (80007, 60, True, 1), (130429, 3, True, 1), (131056, PAIR_LIMIT_S, False, PAIR_LIMIT_GROWTH)],
)
def test_who_waits_how_long(code, after_s, whole_channel, growth):
    """A limit of the number holds the channel. The pair limit holds one person, four times longer with each attempt."""
    read = SENDER.read(response(400, error(code)), PERSON)
    assert (read.after_s, read.whole_channel, read.growth) == (after_s, whole_channel, growth)


def test_a_reason_shows_no_number():
    """The gateway's words are in the reason, without the number and the token."""
    told = SENDER.read(response(400, error(131026, f"to {PHONE} with Bearer abcdef")), PERSON).reason
    assert PHONE not in told
    assert "abcdef" not in told


def test_typing_and_read_receipt():
    """Both name the person's message, and typing marks it as read, too. Without an id there is none."""
    read = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.1"}
    typing = SENDER.typing(TARGET, PERSON)
    assert typing.url == f"{URL}/messages"
    assert fields(typing) == read | {"typing_indicator": {"type": "text"}}
    assert fields(SENDER.read_receipt(TARGET, PERSON)) == read
    assert SENDER.typing_lasts_s == 26
    nameless = reply_to("meta", NUMBER_ID, message_id=None)
    assert SENDER.typing(TARGET, nameless) is SENDER.read_receipt(TARGET, nameless) is None


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (response(200, {"id": NUMBER_ID}), None),
        (response(200, {}), "META_URL"),
        (response(200, error(190)), "answered 200"),
        (response(401, error(190, "expired")), "META_ACCESS_TOKEN"),
    ],
)
def test_the_probe(answer, wrong):
    """The phone number is asked for, and what is wrong is told in one sentence."""
    assert SENDER.probe(TARGET, PERSON.conversation).url == URL
    read = SENDER.read_probe(answer)
    assert read is None if wrong is None else wrong in read


def test_the_limits():
    """4,096 characters, half of 80 messages a second, and one in 6 s for a person."""
    assert (SENDER.text_max, SENDER.channel_rate.interval_ms, SENDER.person_rate.interval_ms) == (4096, 25, 6000)
    assert meta.GATEWAY.sender is SENDER


def statuses(*items, **beside):
    value = {"metadata": {"phone_number_id": NUMBER_ID}, "statuses": list(items)} | beside
    body = {"object": "whatsapp_business_account", "entry": [{"changes": [{"field": "messages", "value": value}]}]}
    return meta.parse(Request({}, {}, "", json.dumps(body).encode()))


@pytest.mark.parametrize("state", ["sent", "delivered", "read"])
def test_a_status_says_that_the_message_arrived(state):
    """The status has the id of the message, and the mark that it was sent with."""
    about = {"id": "wamid.X", "status": state, "biz_opaque_callback_data": "f.1"}
    assert statuses(about) == [DeliveryStatus("meta", NUMBER_ID, "wamid.X", "sent", "f.1")]
    assert statuses({"id": "wamid.X", "status": state}) == [DeliveryStatus("meta", NUMBER_ID, "wamid.X", "sent")]


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        ([{"code": 131047, "title": "Re-engagement message"}], "24 hours"),
        ([{"code": 131026, "message": f"no {PHONE}"}], "cannot be delivered"),
        ([{"code": 131053, "error_data": {"details": "Unsupported mime"}}], "Unsupported mime"),
        ([{"code": 131056}], "to this person"),
        ([{"code": 4}], "more than Meta allows"),
        ([{"code": 7_777_777, "title": "Odd"}], "could not deliver the message (Meta's code 7777777): Odd"),
        ([], "could not deliver"),
        ("odd", "could not deliver"),
        ([{"code": {}, "error_data": []}], "could not deliver"),
    ],
)
def test_a_status_says_why_the_message_failed(errors, words):
    """The reason is in plain words, without numbers."""
    about = {"id": "wamid.X", "status": "failed", "biz_opaque_callback_data": "f.1", "errors": errors}
    (event,) = statuses(about)
    assert (event.message_id, event.state, event.own_mark) == ("wamid.X", "failed", "f.1")
    assert words in event.reason
    assert PHONE not in event.reason


def test_statuses_beside_messages():
    """A body with both gives both, and a status that says nothing is ignored."""
    message = {"from": PHONE, "id": "wamid.M", "timestamp": "1749416400", "type": "text", "text": {"body": "oi"}}
    events = statuses({"id": "wamid.X", "status": "sent"}, {"id": "wamid.Y", "status": "deleted"}, messages=[message])
    assert [type(event) for event in events[1:]] == [DeliveryStatus, Ignored]
    assert events[0].text == "oi"
