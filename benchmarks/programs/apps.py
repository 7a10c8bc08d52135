"""Two FastAPI applications as baselines: one only parses the body, one runs a small script per request."""

from __future__ import annotations

import hashlib
import os

import redis.asyncio
from fastapi import FastAPI, Request

PUSH_AND_SCHEDULE = """
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[2], ARGV[2], KEYS[1])
return redis.call('LLEN', KEYS[1])
"""

empty = FastAPI()
evalsha = FastAPI()
client = redis.asyncio.Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:1/0"))
sha = hashlib.sha1(PUSH_AND_SCHEDULE.encode(), usedforsecurity=False).hexdigest()


@empty.post("/webhooks/evolution")
async def parse_only(request: Request) -> dict[str, int]:
    """Parse the body and respond."""
    await request.json()
    return {"accepted": 1, "duplicates": 0, "ignored": 0}


@evalsha.post("/webhooks/evolution")
async def one_script_per_request(request: Request) -> dict[str, int]:
    """Parse the body, push it and set a deadline with one small script, and respond."""
    body = await request.body()
    data = (await request.json())["data"]
    keys = (f"b:{data['key']['remoteJid']}", "wake")
    try:
        await client.evalsha(sha, 2, *keys, body, 1)
    except redis.exceptions.NoScriptError:
        await client.eval(PUSH_AND_SCHEDULE, 2, *keys, body, 1)
    return {"accepted": 1, "duplicates": 0, "ignored": 0}
