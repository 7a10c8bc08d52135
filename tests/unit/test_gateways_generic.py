"""The generic format: the fields that it accepts, and its errors."""

import json

import pytest

from buffer.models import KINDS, Conversation, Message, Presence
from config.settings import Settings
from gateways import generic
from gateways.base import BadRequest, Request

ANA = Conversation("generic", "default", "5511900000001")
OI = {"conversation": "5511900000001", "text": "oi"}


def parse(body, tail=""):
    return generic.parse(Request({}, {}, tail, json.dumps(body).encode()))


def complaint(body):
    with pytest.raises(BadRequest) as error:
        parse(body)
    return str(error.value)


def configured(token):
    return Settings(_env_file=None, generic_token=token)


def test_the_token_opens():
    """The configured token opens as a header or in the URL; another, or none configured, does not."""
    by_header = Request({"authorization": "Bearer a-token"}, {}, "", b"")
    by_query = Request({}, {"token": "a-token"}, "", b"")
    for request in (by_header, by_query):
        assert generic.verify(request, configured("a-token"))
        assert not generic.verify(request, configured("another"))
        assert not generic.verify(request, configured(None))
    assert (generic.is_open(configured("a-token")), generic.is_open(configured(None))) == (True, False)


def test_the_smallest_message():
    """A conversation and a text are enough; the rest has its default."""
    assert parse(OI) == [Message(ANA, None, None, "text", "oi")]


def test_every_field():
    """Each field arrives where the outbound message has it; unknown ones are ignored."""
    body = {
        "conversation": 5511900000001,
        "channel": 7,
        "message_id": 42,
        "timestamp_ms": 1749766101000,
        "kind": "image",
        "media": {"url": "https://example.com/a.png", "mime": "image/png", "caption": "olha"},
        "sender_name": "Ana",
        "from_me": True,
        "via": "device",
        "comment": [],
    }
    media = {"url": "https://example.com/a.png", "id": None, "mime": "image/png", "caption": "olha"}
    conversation = Conversation("generic", "7", "5511900000001")
    assert parse(body) == [Message(conversation, "42", 1749766101000, "image", "olha", media, "Ana", from_me=True)]


def test_the_other_parts_of_the_content_go_along():
    """Quotes, orders and the other parts of the content reach the agent as they are. `raw` is bounded."""
    parts = {
        "quoted_id": "M0",
        "quoted": {"id": "M0", "text": "Plano A ou B?"},
        "order": {"items": [{"id": "SKU-1", "quantity": 2}]},
        "referral": {"headline": "Sofa"},
        "forwarded": True,
        "transcript": "oi",
        "thread": {"id": "33"},
        "links": ["https://example.com"],
    }
    (message,) = parse(OI | parts | {"raw": {"a": 1, "token": "T"}})
    assert message.extra == parts | {"raw": {"a": 1}}
    odd = {"quoted": "M0", "order": [1], "forwarded": "yes", "thread": 7, "links": {}, "location": None, "raw": "x"}
    assert parse(OI | odd) == parse(OI)


@pytest.mark.parametrize(
    ("written", "moment"), [(1749766101, 1749766101000), (1749766101000.0, 1749766101000), (0, None), (5, None)]
)
def test_the_unit_of_a_time_follows_from_its_size(written, moment):
    """Seconds in place of milliseconds are read as seconds. A time before 2009 counts as absent."""
    (message,) = parse(OI | {"timestamp_ms": written})
    assert message.timestamp_ms == moment


def test_a_list_keeps_its_order():
    """Several messages in one body are several messages, in that order."""
    assert [message.text for message in parse([OI, OI | {"text": "tudo bem?"}])] == ["oi", "tudo bem?"]
    assert parse([]) == []


@pytest.mark.parametrize(
    ("tail", "channel", "expected"),
    [
        ("", None, "default"),
        ("loja", None, "loja"),
        ("loja/", None, "loja"),
        ("loja", "outra", "outra"),
        ("/", 7, "7"),
    ],
)
def test_the_channel_defaults_to_the_tail(tail, channel, expected):
    """The body's channel comes first, then the path, then `default`."""
    (message,) = parse(OI | {"channel": channel}, tail)
    assert message.conversation.channel == expected


@pytest.mark.parametrize(("typing", "state"), [(True, "composing"), (False, "paused")])
def test_typing_is_told_without_a_message(typing, state):
    """`typing` in place of a message is a typing event. Beside one it says nothing."""
    told = {"conversation": "5511900000001", "typing": typing}
    assert parse(told) == [Presence(ANA, state)]
    assert parse([told | {"text": None, "kind": None}, OI]) == [Presence(ANA, state), *parse(OI)]
    assert parse(OI | told) == parse(OI)


@pytest.mark.parametrize("field", ["via", "from_me", "timestamp_ms", "message_id", "sender_name"])
def test_what_is_wrong_beside_a_typing_event_is_refused(field):
    """As beside a message: what the service describes as wrong is wrong everywhere."""
    assert f"`{field}`" in complaint({"conversation": "5511900000001", "typing": True, field: {}})


@pytest.mark.parametrize("typing", ["yes", 1, None, {}])
def test_an_odd_typing_event_is_refused(typing):
    """Only true and false are typing events. Anything else is a message without a text."""
    assert "`typing`" in complaint({"conversation": "5511900000001", "typing": typing})
    if typing is not None:
        assert "`typing`" in complaint(OI | {"typing": typing})


@pytest.mark.parametrize("kind", sorted(KINDS - {"text"}))
def test_a_kind_other_than_text_may_come_alone(kind):
    """A location or a reaction need not have text."""
    (message,) = parse({"conversation": "1", "kind": kind})
    assert (message.kind, message.text, message.media) == (kind, None, None)


def test_media_may_come_alone_and_inline():
    """A file is a message without text, and base64 stays in it; empty fields of it count as absent."""
    (message,) = parse({"conversation": "1", "media": {"base64": "aGk=", "filename": "a.txt", "url": ""}})
    assert message.media == {
        "url": None,
        "id": None,
        "mime": None,
        "caption": None,
        "filename": "a.txt",
        "base64": "aGk=",
    }


def test_null_is_absent():
    """A field that is null counts as absent."""
    nothing = dict.fromkeys(("message_id", "timestamp_ms", "kind", "media", "sender_name", "channel"))
    assert parse(OI | nothing) == parse(OI)


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"conversation": None}, "conversation"),
        ({"conversation": ""}, "conversation"),
        ({"conversation": " "}, "conversation"),
        ({"conversation": True}, "conversation"),
        ({"conversation": 1.5}, "conversation"),
        ({"conversation": ["1"]}, "conversation"),
        ({"text": None}, "text"),
        ({"text": ""}, "text"),
        ({"text": 7}, "text"),
        ({"text": {}}, "text"),
        ({"text": "", "media": {}}, "text"),
        ({"text": "", "media": {"url": None}}, "text"),
        ({"message_id": ""}, "message_id"),
        ({"message_id": {}}, "message_id"),
        ({"channel": False}, "channel"),
        ({"sender_name": 7}, "sender_name"),
        ({"timestamp_ms": -1}, "timestamp_ms"),
        ({"timestamp_ms": "1749766101000"}, "timestamp_ms"),
        ({"timestamp_ms": 1.5}, "timestamp_ms"),
        ({"timestamp_ms": True}, "timestamp_ms"),
        ({"timestamp_ms": 2**53}, "timestamp_ms"),
        ({"kind": "sticker"}, "kind"),
        ({"kind": ["text"]}, "kind"),
        ({"kind": ""}, "kind"),
        ({"media": "https://example.com"}, "media"),
        ({"media": []}, "media"),
        ({"media": {"link": "x"}}, "link"),
        ({"media": {"url": 7}}, "url"),
        ({"from_me": 1}, "from_me"),
        ({"from_me": True, "via": "phone"}, "via"),
        ({"via": {}}, "via"),
    ],
)
def test_a_wrong_field_is_named(wrong, name):
    """The error names the field and what is expected, and in a list the place too."""
    alone, listed = complaint(OI | wrong), complaint([OI, OI | wrong])
    assert f"`{name}`" in alone
    assert listed == f"message 1: {alone}"


def test_a_missing_conversation_is_said_to_be_missing():
    """The error for a missing field differs from the one for a wrong field."""
    assert complaint({"text": "oi"}).startswith("`conversation` is missing: it must be")
    assert complaint(OI | {"conversation": 1.5}).startswith("`conversation` is a number: it must be")


def test_a_wrong_media_field_is_found_inside_media():
    """The error for a part of the media says that it is there."""
    assert "`media`" in complaint(OI | {"media": {"url": 7}})


@pytest.mark.parametrize("body", ["oi", 7, None, True])
def test_a_body_that_is_no_object_is_refused(body):
    """Neither the body nor an item of it can be anything but an object."""
    assert "object" in complaint(body)
    assert complaint([OI, body]).startswith("message 1: it must be an object")


def test_a_list_inside_a_list_is_refused():
    """Lists do not nest."""
    assert "message 0" in complaint([[OI]])


def test_a_thousand_messages_and_no_more():
    """The largest list is accepted, one more is refused with both numbers."""
    assert len(parse([OI] * 1000)) == 1000
    assert "1001" in complaint([OI] * 1001)
