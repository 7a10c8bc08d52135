"""Reports on our own messages, and own messages that come in: their marks and ids."""

from __future__ import annotations

import json

import pytest

from buffer.models import DeliveryStatus, Ignored
from gateways import evolution, uazapi, waha, zapi
from gateways.base import Request
from tests.replies import PHONE

NOTHING = [Ignored("unknown_event")]
OWN_ID = "3EB0AABBCCDDEEFF001122"
JID = f"{PHONE}@s.whatsapp.net"


def parse(gateway, body):
    return gateway.parse(Request({}, {}, "", json.dumps(body).encode()))


def evolution_update(**data):
    return {"event": "messages.update", "instance": "loja", "data": {"remoteJid": JID, "keyId": OWN_ID} | data}


def sent(gateway, channel, message_id=OWN_ID):
    return [DeliveryStatus(gateway, channel, message_id, "sent")]


def failed(gateway, channel, reason, message_id=OWN_ID):
    return [DeliveryStatus(gateway, channel, message_id, "failed", reason=reason)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"fromMe": True, "status": "ERROR"}, failed("evolution", "loja", "the gateway reports the status error")),
        ({"fromMe": True, "status": "FAILED"}, failed("evolution", "loja", "the gateway reports the status failed")),
        ({"fromMe": True, "status": 0}, failed("evolution", "loja", "the gateway reports the status error")),
        ({"fromMe": "true", "status": "SERVER_ACK"}, sent("evolution", "loja")),
        ({"fromMe": True, "status": "DELIVERY_ACK"}, sent("evolution", "loja")),
        ({"fromMe": True, "status": "READ"}, sent("evolution", "loja")),
        ({"fromMe": True, "status": 3}, sent("evolution", "loja")),
        ({"fromMe": True, "status": "PENDING"}, NOTHING),
        ({"fromMe": True, "status": 1}, NOTHING),
        ({"fromMe": True, "status": "DELETED"}, NOTHING),
        ({"fromMe": True, "status": 99}, NOTHING),
        ({"fromMe": True, "status": {}}, NOTHING),
        ({"fromMe": True}, NOTHING),
        ({"fromMe": False, "status": "ERROR"}, NOTHING),
        ({"fromMe": True, "status": "ERROR", "keyId": None}, NOTHING),
    ],
)
def test_the_status_of_evolution(data, expected):
    """A status of our own message says that it was taken or that it failed, and the person's says nothing."""
    assert parse(evolution, evolution_update(**data)) == expected


def test_the_status_of_evolution_in_its_other_form():
    """Baileys has the id in `key` and the status in `update`."""
    data = {"key": {"remoteJid": JID, "fromMe": True, "id": OWN_ID}, "update": {"status": 2}}
    body = {"event": "messages.update", "instance": "loja", "data": data}
    assert parse(evolution, body) == sent("evolution", "loja")


def waha_ack(event="message.ack", **payload):
    about = {"id": f"true_{PHONE}@c.us_{OWN_ID}", "fromMe": True}
    return {"event": event, "session": "default", "payload": about | payload}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"ack": -1, "ackName": "ERROR"}, failed("waha", "default", "the gateway reports the status error")),
        ({"ack": 0, "ackName": "PENDING"}, NOTHING),
        ({"ack": 1, "ackName": "SERVER"}, sent("waha", "default")),
        ({"ack": 2}, sent("waha", "default")),
        ({"ackName": "READ"}, sent("waha", "default")),
        ({"ack": 4}, sent("waha", "default")),
        ({"ack": 1, "id": f"true_1@g.us_{OWN_ID}_2@c.us"}, sent("waha", "default")),
        ({"ack": 1, "fromMe": False}, NOTHING),
        ({"ack": 7}, NOTHING),
        ({"ack": -1, "id": None}, NOTHING),
    ],
)
def test_the_ack_of_waha(payload, expected):
    """An ack of our own message says that it was taken or that it failed."""
    assert parse(waha, waha_ack(**payload)) == expected
    assert parse(waha, waha_ack("message.ack.group", **payload)) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"status": "SENT", "ids": ["A", "B"]}, sent("zapi", "I", "A") + sent("zapi", "I", "B")),
        ({"status": "RECEIVED", "ids": ["A"]}, sent("zapi", "I", "A")),
        ({"status": "READ", "ids": ["A"]}, sent("zapi", "I", "A")),
        ({"status": "PLAYED", "ids": ["A"]}, sent("zapi", "I", "A")),
        ({"status": "READ_BY_ME", "ids": ["A"]}, NOTHING),
        ({"status": "SENT", "ids": []}, NOTHING),
        ({"status": "SENT"}, NOTHING),
        ({"type": "DeliveryCallback", "messageId": "A"}, sent("zapi", "I", "A")),
        (
            {"type": "DeliveryCallback", "messageId": "A", "error": f"Phone {PHONE} not found"},
            failed("zapi", "I", "Phone *** not found", "A"),
        ),
        ({"type": "DeliveryCallback"}, NOTHING),
        ({"status": "SENT", "ids": ["A"], "instanceId": None}, NOTHING),
    ],
)
def test_the_callbacks_of_zapi(body, expected):
    """A status names several messages, and a delivery one. A text of the gateway is masked."""
    assert parse(zapi, {"type": "MessageStatusCallback", "instanceId": "I", "phone": PHONE} | body) == expected


def test_a_human_at_the_phone_is_no_api_send():
    """An own message of a device has no mark of the API, at each gateway."""
    key = {"remoteJid": JID, "fromMe": True, "id": "A"}
    said = [
        parse(evolution, _upsert(key)),
        parse(waha, _any(fromMe=True, source="app")),
        parse(zapi, _received(fromMe=True, fromApi=False)),
        parse(uazapi, _messages(fromMe=True, wasSentByApi=False)),
    ]
    assert [(event.from_me, "via_api" in event.extra) for (event,) in said] == [(True, False)] * 4


def test_an_api_send_is_told_apart():
    """An own message of the API says so, at each gateway, and its id is WhatsApp's own."""
    key = {"remoteJid": JID, "fromMe": True, "id": OWN_ID}
    info = {"Chat": JID, "Sender": "1@s.whatsapp.net", "IsFromMe": True, "ID": OWN_ID}
    said = [
        parse(evolution, _upsert(key) | {"event": "send.message"}),
        parse(evolution, {"event": "SendMessage", "instanceName": "loja", "data": _go(info)}),
        parse(waha, _any(fromMe=True, source="api")),
        parse(zapi, _received(fromMe=True, fromApi=True)),
        parse(uazapi, _messages(fromMe=True, wasSentByApi=True)),
    ]
    for (event,) in said:
        assert (event.from_me, event.extra["via_api"], event.conversation.peer) == (True, True, PHONE)
        assert (event.dedupe_id or event.message_id) == OWN_ID


def test_the_persons_message_has_no_mark():
    """`via_api` and `own_mark` are of own messages alone."""
    said = [
        parse(evolution, _upsert({"remoteJid": JID, "fromMe": False, "id": "A"})),
        parse(waha, _any(fromMe=False, source="api", id=f"false_{PHONE}@c.us_A", **{"from": f"{PHONE}@c.us"})),
        parse(zapi, _received(fromMe=False, fromApi=True)),
        parse(uazapi, _messages(fromMe=False, wasSentByApi=True, track_id="x.1")),
    ]
    for (event,) in said:
        assert not event.from_me
        assert not {"via_api", "own_mark"} & set(event.extra)


@pytest.mark.parametrize(
    ("fields", "mark"),
    [
        ({"track_id": "f1.1", "track_source": "debouncer"}, "f1.1"),
        ({"track_id": "f1.1", "track_source": ""}, "f1.1"),
        ({"track_id": "f1.1"}, "f1.1"),
        ({"track_id": "f1.1", "track_source": "another"}, None),
        ({"track_id": "", "track_source": ""}, None),
    ],
)
def test_the_mark_of_uazapi(fields, mark):
    """The mark of an echo is ours unless another program is named beside it."""
    (event,) = parse(uazapi, _messages(fromMe=True, wasSentByApi=True, **fields))
    assert event.extra.get("own_mark") == mark


def test_uazapi_has_one_form_of_an_id():
    """The number of the instance before an id is not a part of it, in either field."""
    for fields in ({"messageid": f"5511900000000:{OWN_ID}"}, {"messageid": None, "id": f"5511900000000:{OWN_ID}"}):
        (event,) = parse(uazapi, _messages(fromMe=True, **fields))
        assert event.message_id == OWN_ID


def test_the_person_may_write_a_joiner():
    """Only our own text loses the joiner between its braces."""
    text = "{\u200d{a}}"
    (ours,) = parse(uazapi, _messages(fromMe=True, text=text, content=text))
    (theirs,) = parse(uazapi, _messages(fromMe=False, text=text, content=text))
    assert (ours.text, theirs.text) == ("{{a}}", text)


def _upsert(key):
    data = {"key": key, "message": {"conversation": "oi"}, "messageTimestamp": 1749766101}
    return {"event": "messages.upsert", "instance": "loja", "data": data}


def _go(info):
    return {"Info": info, "Message": {"conversation": "oi"}}


def _any(**payload):
    about = {"id": f"true_{PHONE}@c.us_{OWN_ID}", "from": "5511900000000@c.us", "to": f"{PHONE}@c.us", "body": "oi"}
    return {"event": "message.any", "session": "default", "payload": about | payload}


def _received(**fields):
    about = {"type": "ReceivedCallback", "instanceId": "I", "phone": PHONE, "messageId": OWN_ID}
    return about | {"text": {"message": "oi"}} | fields


def _messages(**message):
    about = {"chatid": JID, "messageid": OWN_ID, "messageType": "Conversation", "text": "oi", "content": "oi"}
    return {"EventType": "messages", "instanceName": "e", "owner": "5511900000000", "message": about | message}
