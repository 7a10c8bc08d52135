"""A damaged or crowded conversation costs its neighbours nothing: its own requests are refused, and come again."""

from __future__ import annotations

import asyncio

from buffer.keys import Keys, ref_of
from tests.webhook_client import serving


async def test_only_its_own_requests_are_refused(valkey, prefix, make_settings):
    """Of requests that arrive together only those of the damaged conversation get 503, and a repaired one is taken."""
    settings = make_settings(redis_url=valkey.url, webhook_allow_unsigned=True)
    ref = ref_of(("generic", "default", "bad"), 1)
    key = Keys(settings.redis_key_prefix).of(0, "buffer", ref.hash)
    client = valkey.client()
    client.set(key, "not ours")

    async with serving(settings) as http:

        async def say(*people: str) -> int:
            body = [{"conversation": who, "text": "oi", "message_id": "m1"} for who in people]
            return (await http.post("/webhooks/generic", json=body)).status_code

        people = ("a", "bad", "b", "c")
        assert await asyncio.gather(*map(say, people)) == [200, 503, 200, 200]
        assert await say("d", "bad") == 503
        client.delete(key)
        again = await http.post(
            "/webhooks/generic", json=[{"conversation": w, "text": "oi", "message_id": "m1"} for w in ("bad", "d")]
        )
        assert again.json() == {"accepted": 1, "duplicates": 1, "ignored": 0}


async def test_crowded_conversation_is_refused(valkey, prefix, make_settings):
    """Beyond MESSAGE_BUFFER_MAX_PENDING a person's requests get 503, and nobody else's."""
    settings = make_settings(redis_url=valkey.url, webhook_allow_unsigned=True, message_buffer_max_pending=2)

    async with serving(settings) as http:

        async def say(who: str) -> int:
            return (await http.post("/webhooks/generic", json={"conversation": who, "text": "oi"})).status_code

        assert [await say("a") for _ in range(3)] == [200, 200, 503]
        assert await say("b") == 200
