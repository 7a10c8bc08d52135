"""Twilio: the requests, what each response means, and the callbacks that come later."""

from __future__ import annotations

import base64
import hmac
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest

from buffer.models import DeliveryStatus, Ignored
from config.settings import Settings
from gateways import twilio
from gateways.base import Request
from gateways.sending import InDoubt, Later, Misconfigured, Part, Refused, Sent, Target
from gateways.targets import target_of
from gateways.twilio_errors import HOUR_S
from gateways.twilio_send import SENDER
from tests.replies import PART_ID, PHONE, reply_to, response

ACCOUNT = "AC00000000000000000000000000000001"
TARGET = Target("https://api.twilio.com", "t0ken", ACCOUNT)
OURS = "14155238886"
PERSON = reply_to("twilio", OURS, message_id="SM1#2")
URL = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}"
BASE_URL = "https://bot.example.com"


def form(request):
    return dict(parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True))


def test_a_text_goes_as_a_form():
    """The path has the account, the header both secrets, and the form both addresses as they came."""
    request = SENDER.request(TARGET, PERSON, Part(text="olá & até"), PART_ID)
    assert (request.method, request.url) == ("POST", f"{URL}/Messages.json")
    assert dict(request.headers) == {
        "authorization": "Basic " + base64.b64encode(f"{ACCOUNT}:t0ken".encode()).decode(),
        "content-type": "application/x-www-form-urlencoded",
    }
    assert form(request) == {"From": f"whatsapp:+{OURS}", "To": f"whatsapp:+{PHONE}", "Body": "olá & até"}
    assert ACCOUNT not in request.masked_url


def test_a_file_goes_by_its_address():
    """The caption is the body. Without one there is no body."""
    made = form(SENDER.request(TARGET, PERSON, Part("image", "olha", "https://x.example/a?b=1&c"), PART_ID))
    assert (made["Body"], made["MediaUrl"]) == ("olha", "https://x.example/a?b=1&c")
    assert "Body" not in form(SENDER.request(TARGET, PERSON, Part("audio", None, "https://x.example/a"), PART_ID))


def inbound(**changes):
    fields = {"MessageSid": "SM1", "From": f"whatsapp:+{PHONE}", "To": f"whatsapp:+{OURS}", "Body": "oi"} | changes
    (message,) = twilio.parse(Request({}, {}, "", urlencode(fields).encode()))
    return message


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (f"whatsapp:+{OURS}", f"whatsapp:+{PHONE}"),
        (f"+{OURS}", f"+{PHONE}"),
        (f"whatsapp:+{OURS}", "whatsapp:BR.13491208655302741918"),
        ("rcs:loja", f"rcs:+{PHONE}"),
        ("55555", f"+{PHONE}"),
    ],
)
def test_the_addresses_of_the_message_come_back(ours, theirs):
    """Whatever the two addresses of the person's message are, the reply has the same. The usual ones are not stored."""
    message = inbound(From=theirs, To=ours, WaId=PHONE)
    person = reply_to("twilio", message.conversation.channel, message.conversation.peer)
    person.last["return_address"] = message.return_address
    made = form(SENDER.request(TARGET, person, Part(text="a"), PART_ID))
    assert (made["From"], made["To"]) == (ours, theirs)
    assert bool(message.return_address) is not (theirs == f"whatsapp:+{PHONE}")
    assert "return_address" not in message.extra


def test_an_odd_return_address_is_not_used():
    """What is no text counts as absent."""
    person = reply_to("twilio", OURS, return_address={"from": 7.5, "to": []})
    assert form(SENDER.request(TARGET, person, Part(text="a"), PART_ID))["To"] == f"whatsapp:+{PHONE}"


def test_the_callback_has_our_mark():
    """Only where PUBLIC_BASE_URL is set, and its mark is that of the part."""
    settings = Settings(
        _env_file=None, twilio_auth_token="t0ken", twilio_account_sid=ACCOUNT, public_base_url=BASE_URL + "/"
    )
    target = target_of(settings, "twilio")
    callback = form(SENDER.request(target, PERSON, Part(text="a"), PART_ID))["StatusCallback"]
    assert callback.startswith(f"{BASE_URL}/webhooks/twilio?")
    assert parse_qs(urlsplit(callback).query) == {"part": [SENDER.own_id(PART_ID)]}
    assert "StatusCallback" not in form(SENDER.request(TARGET, PERSON, Part(text="a"), PART_ID))


def error(code, message="x", status=400):
    return {"code": code, "message": message, "more_info": "https://www.twilio.com/docs/errors/1", "status": status}


@pytest.mark.parametrize(
    ("answer", "result", "words"),
    [
        (response(201, {}), InDoubt, "without the id"),
        (response(201, b"<html>"), InDoubt, "an HTML page"),
        (response(201, {"sid": "SM1", "status": "failed", "error_code": 63016}), Refused, "24 hours"),
        (response(429, error(20429)), Later, "too many requests"),
        (response(429, b""), Later, "429"),
        (response(401, error(20003)), Misconfigured, "auth token"),
        (response(404, error(20404)), Misconfigured, "account SID"),
        (response(401, b""), Misconfigured, "TWILIO_AUTH_TOKEN"),
        (response(404, b""), Misconfigured, "TWILIO_URL"),
        (response(400, error(21211)), Refused, "number"),
        (response(400, error(21614)), Refused, "number"),
        (response(400, error(63024)), Refused, "number"),
        (response(400, error(63003)), Refused, "number"),
        (response(400, error(21610)), Refused, "STOP"),
        (response(400, error(21617)), Refused, "longer"),
        (response(400, error(21658)), Refused, "longer"),
        (response(400, error(63021)), Refused, "content"),
        (response(400, error(21212)), Misconfigured, "let this number send"),
        (response(400, error(21606)), Misconfigured, "let this number send"),
        (response(400, error(63002)), Misconfigured, "let this number send"),
        (response(400, error(63007)), Misconfigured, "let this number send"),
        (response(400, error(63112)), Misconfigured, "disabled"),
        (response(400, error(63016)), Refused, "only a template"),
        (response(400, error(63017)), Later, "more than Twilio allows"),
        (response(400, error(63018)), Later, "more than WhatsApp allows"),
        (response(429, error(63038)), Later, "in a day"),
        (response(400, error(99999, "odd")), Refused, "odd"),
        (response(400, b"<html>"), InDoubt, "400"),
        (response(500, error(20500)), InDoubt, "500"),
        (response(503, error(20503)), InDoubt, "503"),
        (response(502, b""), InDoubt, "502"),
        (response(413, b""), Refused, "413"),
        (response(307, b""), Misconfigured, "redirects"),
    ],
)
def test_what_a_response_means(answer, result, words):
    """Each row of the table: the code decides, then the status."""
    read = SENDER.read(answer, PERSON)
    assert type(read) is result
    assert words in read.reason


def test_a_success():
    """201 means queued, with the id of the message."""
    assert SENDER.read(response(201, {"sid": "SM9", "status": "queued", "error_code": None}), PERSON) == Sent("SM9")


def test_who_waits_how_long():
    """Limits of the account hold the channel, that of a day for an hour."""
    daily = SENDER.read(response(429, error(63038)), PERSON)
    assert (daily.after_s, daily.whole_channel) == (HOUR_S, True)
    assert SENDER.read(response(429, error(20429), retry_after="4"), PERSON).after_s == 4


def test_typing():
    """Typing has an address of its own, names the person's message, and is only for WhatsApp."""
    request = SENDER.typing(TARGET, PERSON)
    assert request.url == "https://messaging.twilio.com/v2/Indicators/Typing.json"
    assert form(request) == {"messageId": "SM1", "channel": "whatsapp"}
    elsewhere = SENDER.typing(TARGET._replace(url="http://127.0.0.1:9"), PERSON)
    assert elsewhere.url == "http://127.0.0.1:9/v2/Indicators/Typing.json"
    sms = reply_to("twilio", OURS, return_address={"from": f"+{OURS}", "to": f"+{PHONE}"})
    assert SENDER.typing(TARGET, sms) is None
    assert SENDER.typing(TARGET, reply_to("twilio", OURS, message_id=None)) is None
    assert SENDER.typing_lasts_s == 26


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (response(200, {"status": "active"}), None),
        (response(200, {"status": "suspended"}), "'suspended'"),
        (response(200, b""), "not active"),
        (response(401, error(20003)), "TWILIO_AUTH_TOKEN"),
    ],
)
def test_the_probe(answer, wrong):
    """The account is asked for."""
    assert SENDER.probe(TARGET, PERSON.conversation).url == f"{URL}.json"
    read = SENDER.read_probe(answer)
    assert read is None if wrong is None else wrong in read


def test_the_limits():
    """1,600 UTF-16 units, ten messages a second, and Meta's pair limit for a person."""
    assert (SENDER.text_max, SENDER.text_size("a😀")) == (1600, 3)
    assert 1000 / SENDER.channel_rate.interval_ms < 10
    assert SENDER.person_rate.interval_ms == 6000
    assert twilio.GATEWAY.sender is SENDER


def callback(query="part=f.1", **fields):
    usual = {"MessageSid": "SM9", "From": f"whatsapp:+{OURS}", "To": f"whatsapp:+{PHONE}", "AccountSid": ACCOUNT}
    body = urlencode(usual | fields)
    return Request({}, dict(parse_qsl(query)), "", body.encode(), "/webhooks/twilio", query)


@pytest.mark.parametrize("state", ["sent", "delivered", "read"])
def test_a_callback_says_that_the_message_arrived(state):
    """It has the id of the message, our number as the channel, and the mark of its address."""
    request = callback(MessageStatus=state)
    assert twilio.parse(request) == [DeliveryStatus("twilio", OURS, "SM9", "sent", "f.1")]
    without_mark = callback("", SmsStatus=state)
    assert twilio.parse(without_mark) == [DeliveryStatus("twilio", OURS, "SM9", "sent")]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("63016", "24 hours"),
        ("63018", "more than WhatsApp"),
        ("30001", "code 30001"),
        ("odd", "could not deliver"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("state", ["failed", "undelivered"])
def test_a_callback_says_why_the_message_failed(state, code, words):
    """The reason is in plain words."""
    (event,) = twilio.parse(callback(MessageStatus=state, ErrorCode=code))
    assert (event.message_id, event.state, event.own_mark) == ("SM9", "failed", "f.1")
    assert words in event.reason


@pytest.mark.parametrize("fields", [{"MessageStatus": "queued"}, {"MessageStatus": "sending"}, {"SmsStatus": "odd"}])
def test_other_statuses_say_nothing(fields):
    """A message in the queue may still fail."""
    assert twilio.parse(callback(**fields)) == [Ignored("unknown_event")]


def test_the_signature_covers_our_mark():
    """A callback is genuine with the mark that it was signed with, and with no other."""
    settings = Settings(_env_file=None, twilio_auth_token="t0ken", public_base_url=BASE_URL)
    request = callback(MessageStatus="sent")
    signed = f"{BASE_URL}/webhooks/twilio?part=f.1" + "".join(
        a + b for a, b in sorted(parse_qsl(request.body.decode()))
    )
    signature = base64.b64encode(hmac.digest(b"t0ken", signed.encode(), "sha1")).decode()
    request.headers = {"x-twilio-signature": signature}
    assert twilio.verify(request, settings)
    request.query_string = "part=f.2"
    assert not twilio.verify(request, settings)
