"""One WhatsApp message that a gateway delivers under two names of a person is one message of one conversation."""

from __future__ import annotations

from typing import Any

import pytest

from buffer.keys import Keys
from tests.webhook_client import serving

LID, PHONE, OTHER = "998877@lid", "5511900000001", "5511900000002"
NEW = {"accepted": 1, "duplicates": 0, "ignored": 0}
KNOWN = {"accepted": 0, "duplicates": 1, "ignored": 0}


def waha(chat: str, message_id: str) -> dict[str, Any]:
    jid = chat if "@" in chat else f"{chat}@c.us"
    payload = {"id": f"false_{jid}_{message_id}", "timestamp": 1764300000, "from": jid, "fromMe": False, "body": "oi"}
    return {
        "id": "evt",
        "event": "message",
        "session": "default",
        "me": {"id": "5511888880000@c.us"},
        "payload": payload,
    }


def evolution(chat: str, message_id: str) -> dict[str, Any]:
    key = {"remoteJid": chat if "@" in chat else f"{chat}@s.whatsapp.net", "fromMe": False, "id": message_id}
    data = {
        "key": key,
        "message": {"conversation": "oi"},
        "messageType": "conversation",
        "messageTimestamp": 1764300000,
    }
    return {"event": "messages.upsert", "instance": "loja", "data": data}


def zapi(chat: str, message_id: str) -> dict[str, Any]:
    body = {"type": "ReceivedCallback", "instanceId": "I1", "phone": chat, "messageId": message_id, "fromMe": False}
    return body | {"momment": 1764300000000, "isGroup": False, "status": "RECEIVED", "text": {"message": "oi"}}


def telegram(chat: str, message_id: str) -> dict[str, Any]:
    person = {"id": sum(map(ord, chat)), "first_name": "Ana"}
    message = {"message_id": len(message_id), "from": person, "chat": person | {"type": "private"}, "date": 1764300000}
    return {"update_id": 1, "message": message | {"text": "oi"}}


def generic(chat: str, message_id: str) -> dict[str, Any]:
    return {"conversation": chat, "message_id": message_id, "text": "oi"}


async def post(settings: Any, gateway: str, *bodies: dict[str, Any]) -> list[dict[str, int]]:
    """Post bodies one after the other. Return the counts of each."""
    async with serving(settings) as http:
        return [(await http.post(f"/webhooks/{gateway}", json=body)).json() for body in bodies]


@pytest.mark.parametrize("names", [(LID, PHONE), (PHONE, LID)], ids=["lid first", "phone first"])
@pytest.mark.parametrize("make", [waha, evolution, zapi])
async def test_copy_under_the_other_name(valkey, prefix, make_settings, make, names):
    """The second copy is a duplicate, and later messages under both names go into one burst."""
    settings = make_settings(redis_url=valkey.url, webhook_allow_unsigned=True)
    bodies = [make(names[0], "A1"), make(names[1], "A1"), make(names[1], "A2"), make(names[0], "A3")]
    assert await post(settings, make.__name__, *bodies) == [NEW, KNOWN, NEW, NEW]
    bursts = valkey.client().keys(Keys(settings.redis_key_prefix).root(0) + "buffer:*")
    assert [valkey.client().llen(burst) for burst in bursts] == [3]


@pytest.mark.parametrize("make", [waha, evolution, zapi])
async def test_two_phones(valkey, prefix, make_settings, make):
    """Two phone numbers are two people, whatever their ids are."""
    settings = make_settings(redis_url=valkey.url, webhook_allow_unsigned=True)
    assert await post(settings, make.__name__, make(PHONE, "A1"), make(OTHER, "A1")) == [NEW, NEW]


@pytest.mark.parametrize("make", [telegram, generic])
async def test_ids_that_are_per_chat(valkey, prefix, make_settings, make):
    """Where a gateway numbers the messages of each chat, equal ids are two messages."""
    settings = make_settings(redis_url=valkey.url, webhook_allow_unsigned=True)
    assert await post(settings, make.__name__, make(LID, "A1"), make(PHONE, "A1")) == [NEW, NEW]
