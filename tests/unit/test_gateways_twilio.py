"""Twilio: what its signature covers, and the turns of its forms that no recorded case shows."""

import base64
import hmac
import json
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from buffer.models import Conversation, Ignored
from config.settings import Settings
from gateways import twilio
from gateways.base import BadRequest, Request

VECTORS = json.loads((Path(__file__).parent.parent / "fixtures/auth_vectors.json").read_bytes())["twilio"]
BASE_URL = "https://bot.example.com"
ADDRESS = f"{BASE_URL}/webhooks/twilio"
WITH_ALL = {"MessageSid": "SM1", "From": "whatsapp:+5511900000001", "To": "whatsapp:+14155238886", "Body": "oi"}


def asking(url, body=b"", signature=""):
    parts = urlsplit(url)
    headers = {"x-twilio-signature": signature}
    return Request(headers, dict(parse_qsl(parts.query)), "", body, parts.path, parts.query)


def opens(request, token="12345", base_url=BASE_URL):
    return twilio.verify(request, Settings(_env_file=None, twilio_auth_token=token, public_base_url=base_url))


def sign(signed, token="12345"):
    return base64.b64encode(hmac.digest(token.encode(), signed.encode(), "sha1")).decode()


def body_of(vector):
    if "json_body" in vector:
        return vector["json_body"].encode()
    if "params_multi" in vector:
        return urlencode([tuple(pair) for pair in vector["params_multi"]]).encode()
    return urlencode(VECTORS[vector.get("same_params_as", 0)]["params"]).encode()


def parse(**fields):
    form = {name: value for name, value in (WITH_ALL | fields).items() if value is not None}
    return twilio.parse(asking(ADDRESS, urlencode(form).encode()))


def read(**fields):
    (message,) = parse(**fields)
    return message


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_the_published_signatures_open(vector):
    """Each published vector is accepted, and not with another token, address, body or query."""
    url, body, signature = vector["url"], body_of(vector), vector["X-Twilio-Signature"]
    base_url = "{0.scheme}://{0.netloc}".format(urlsplit(url))
    assert opens(asking(url, body, signature), vector["auth_token"], base_url)
    assert not opens(asking(url, body, signature), "another", base_url)
    assert not opens(asking(url, body, signature), vector["auth_token"], "https://evil.example.com")
    assert not opens(asking(url, body + b"&a=1", signature), vector["auth_token"], base_url)
    assert not opens(asking(url.replace("foo=1", "foo=2"), body, signature), vector["auth_token"], base_url)
    assert not opens(asking(url.replace("myapp", "yourapp"), body, signature), vector["auth_token"], base_url)


@pytest.mark.parametrize("port", ["", ":443"])
@pytest.mark.parametrize("signed", ["", ":443"])
def test_the_default_port_may_be_signed_or_not(port, signed):
    """PUBLIC_BASE_URL with and without the default port fits both ways in which Twilio signs."""
    signature = sign(f"{BASE_URL}{signed}/webhooks/twilioBodyoi")
    assert opens(asking(ADDRESS, b"Body=oi", signature), base_url=BASE_URL + port)


@pytest.mark.parametrize("base_url", [f"{BASE_URL}/bot", f"{BASE_URL}/bot/", "https://me:pw@bot.example.com/bot"])
def test_a_base_url_can_have_a_path_and_a_user(base_url):
    """A path that a proxy removes, and a user in the address, are part of the address that Twilio signs."""
    signature = sign(base_url.rstrip("/") + "/webhooks/twilio")
    assert opens(asking(ADDRESS, b"", signature), base_url=base_url)


def test_the_path_is_signed_as_it_was_called():
    """Percent signs in path and query are not decoded before the comparison."""
    url = f"{ADDRESS}/loja%20a?x=%C3%A7"
    assert opens(asking(url, b"", sign(url)))


@pytest.mark.parametrize(
    ("body", "signed"),
    [
        (b"B=&A=", "AB"),
        (b"Body=ol%C3%A1+%2B", "Bodyol\u00e1 +"),
        ("Body=olá".encode(), "Bodyolá"),
        (b"a=2&a=10&b=1&a=2", "a10a2b1"),
        (b"a=b=c", "ab=c"),
        (b"&a&", "a"),
    ],
)
def test_every_field_is_signed_blank_ones_too(body, signed):
    """Blank values, repeated names, signs and accents are signed as they decode."""
    assert opens(asking(ADDRESS, body, sign(ADDRESS + signed)))


def test_bytes_that_are_no_text_are_signed_as_bytes():
    """A value that is not UTF-8 does not pass for another one that is not either."""
    digest = hmac.digest(b"12345", ADDRESS.encode() + b"Body\xff", "sha1")
    signature = base64.b64encode(digest).decode()
    assert opens(asking(ADDRESS, b"Body=%FF", signature))
    assert not opens(asking(ADDRESS, b"Body=%FE", signature))


def test_a_hash_in_the_address_covers_any_body():
    """With bodySHA256 in the signed address the body must have that hash, form or not."""
    vector = VECTORS[5]
    request = asking(vector["url"], vector["json_body"].encode() + b" ", vector["X-Twilio-Signature"])
    assert not opens(request, base_url="https://mycompany.com")


@pytest.mark.parametrize("signature", ["", "=", "\xff", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="])
def test_no_other_signature_opens(signature):
    """Missing, short and unreadable signatures are refused, and everything without a token."""
    assert not opens(asking(ADDRESS, b"Body=oi", signature))
    assert not opens(asking(ADDRESS, b"", sign(ADDRESS, token="")), token=None)


def test_a_form_of_thousands_of_fields_is_refused():
    """A form of millions of fields is refused before its fields are sorted for the signature."""
    body = b"&".join([b"a"] * (twilio.MAX_FIELDS + 1))
    assert not opens(asking(ADDRESS, body, sign(ADDRESS + "a")))
    with pytest.raises(BadRequest, match="more than 1000 fields"):
        twilio.parse(asking(ADDRESS, body))


@pytest.mark.parametrize(
    ("fields", "event"),
    [
        ({"MessageStatus": "queued"}, Ignored("unknown_event")),
        ({"SmsStatus": "sending"}, Ignored("unknown_event")),
        ({"From": None}, Ignored("misfit", "- {Body,MessageSid,To}")),
        ({"To": "", "EventType": "onNews"}, Ignored("misfit", "onNews {Body,EventType,From,MessageSid,To}")),
        ({"MessageSid": None, "CallSid": "CA1", "CallStatus": "ringing"}, Ignored("call")),
        ({"Body": None, "MessageType": "reaction"}, Ignored("encrypted")),
    ],
)
def test_what_is_no_message_is_ignored_for_a_reason(fields, event):
    """Status callbacks, calls and reactions that cannot be read call nobody, and a misfit names its fields."""
    assert parse(**fields) == [event]


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"\xff", b"=", b"%", b'{"text": "5511900000001"}'])
def test_a_body_without_message_fields_is_a_misfit(body):
    """A body without the fields of a message, form or not, holds nothing. Its shape shows no value."""
    (event,) = twilio.parse(asking(ADDRESS, body))
    assert event.reason == "misfit"
    assert "5511900000001" not in event.shape


@pytest.mark.parametrize(
    ("fields", "peer", "alias"),
    [
        ({}, "5511900000001", None),
        ({"From": "+5511900000001"}, "5511900000001", None),
        ({"From": "rcs:+5511900000001"}, "5511900000001", None),
        ({"From": "whatsapp:553188888888", "WaId": "5531988888888"}, "553188888888", None),
        ({"ExternalUserId": "whatsapp:BR.1"}, "5511900000001", "BR.1"),
        ({"From": "whatsapp:BR.1", "WaId": "5511900000001"}, "5511900000001", "BR.1"),
        ({"From": "whatsapp:BR.1", "ExternalUserId": "whatsapp:BR.1"}, "BR.1", None),
        ({"From": None, "ExternalUserId": "whatsapp:BR.1"}, "BR.1", None),
        ({"From": "messenger:4711"}, "messenger:4711", None),
    ],
)
def test_the_peer_is_the_phone_else_the_user_id(fields, peer, alias):
    """The phone in From is the peer, unchanged. A person without a phone has the user id as peer."""
    message = read(**fields)
    assert (message.conversation, message.conversation_alias) == (Conversation("twilio", "14155238886", peer), alias)


@pytest.mark.parametrize(
    ("fields", "kind", "text", "extra"),
    [
        ({"SmsStatus": "received"}, "text", "oi", {}),
        ({"OriginalRepliedMessageSid": "SM0"}, "text", "oi", {"quoted_id": "SM0"}),
        (
            {"ButtonText": "Sim", "ButtonPayload": "y"},
            "interactive",
            "Sim",
            {"interactive": {"id": "y", "title": "Sim"}},
        ),
        ({"ButtonPayload": "y"}, "interactive", "oi", {"interactive": {"id": "y", "title": "oi"}}),
        ({"ListTitle": "Sim", "ListId": "y"}, "interactive", "Sim", {"interactive": {"id": "y", "title": "Sim"}}),
        ({"Body": "", "MessageType": "unsupported"}, "unknown", None, {"raw_type": "unsupported"}),
        ({"Body": ""}, "unknown", None, {}),
        (
            {"Latitude": "x", "Longitude": "2"},
            "location",
            "oi",
            {"location": {"lat": None, "lng": 2.0, "name": None, "address": None}},
        ),
    ],
)
def test_a_form_is_read_by_its_fields(fields, kind, text, extra):
    """Buttons, lists, places, quotes and bodies without anything we know."""
    message = read(**fields)
    assert (message.kind, message.text, message.extra) == (kind, text, extra)
    assert message.timestamp_ms is None


@pytest.mark.parametrize(
    ("mime", "message_type", "kind"),
    [
        ("image/jpeg", None, "image"),
        ("image/jpeg", "document", "document"),
        ("audio/ogg", "audio", "audio"),
        ("video/mp4", "", "video"),
        ("application/pdf", None, "document"),
        ("text/vcard", "contacts", "document"),
        ("image/webp", "sticker", "image"),
        (None, "image", "image"),
        (None, None, "unknown"),
    ],
)
def test_the_kind_of_media(mime, message_type, kind):
    """The type of the message goes before that of the file; a sticker is a picture that says so."""
    message = read(MediaUrl0="https://x/Media/ME1?a=1", MediaContentType0=mime, MessageType=message_type)
    assert (message.kind, message.text, message.media["id"]) == (kind, "oi", "ME1")
    assert message.extra == ({"sticker": True} if message_type == "sticker" else {})


def test_media_stay_in_the_order_of_their_index():
    """Ten and more attachments are one message each, in numeric order, the text with the first."""
    messages = parse(**{f"MediaUrl{index}": f"file-{index}" for index in reversed(range(12))})
    assert [message.media["url"] for message in messages] == [f"file-{index}" for index in range(12)]
    assert [message.extra["media_index"] for message in messages] == list(range(12))
    assert [message.message_id for message in messages] == ["SM1", *(f"SM1#{index}" for index in range(1, 12))]
    assert [message.text for message in messages] == ["oi", *[None] * 11]


def test_the_answer_is_empty_twiml():
    """Twilio would send any other reply to the person, or log it as an error."""
    accepted = twilio.GATEWAY.success_reply
    assert (accepted.status, accepted.content_type) == (200, "text/xml")
    assert accepted.body == b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
