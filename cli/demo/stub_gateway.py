"""A small stand-in for Evolution API: it takes the bot's messages and shows them to the people of the demo."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from cli.serving import serving

SHUTDOWN_S = 0.1


class StubGateway:
    """Answers Evolution's `sendText`. `on_text` gets number, text and message id, and returns False to hang up."""

    def __init__(self, key: str, on_text: Callable[[str, str, str], Awaitable[bool]]) -> None:
        self._key = key
        self._on_text = on_text

    @asynccontextmanager
    async def serve(self, listener: socket.socket) -> AsyncIterator[None]:
        """Serve on a listening socket during a `with` block."""
        application = web.Application()
        application.router.add_post("/message/sendText/{instance}", self._send_text)
        application.router.add_route("*", "/{path:.*}", self._accept)
        async with serving(application, listener, SHUTDOWN_S):
            yield

    async def _send_text(self, request: web.Request) -> web.Response:
        if request.headers.get("apikey") != self._key:
            return web.json_response({"status": 401, "error": "Unauthorized"}, status=401)
        fields = await request.json()
        number, text, message_id = fields["number"], fields["text"], fields["messageId"]
        if not await self._on_text(number, text, message_id):
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return web.json_response(sent_data(number, text, message_id), status=201)

    async def _accept(self, _: web.Request) -> web.Response:
        """Accept everything else: typing and read receipts."""
        return web.json_response({}, status=201)


def sent_data(number: str, text: str, message_id: str) -> dict[str, Any]:
    """Return what Evolution says of a message that it has sent, in its answer and in the echo."""
    return {
        "key": {"remoteJid": f"{number}@s.whatsapp.net", "fromMe": True, "id": message_id},
        "status": "PENDING",
        "message": {"conversation": text},
        "messageType": "conversation",
        "messageTimestamp": int(time.time()),
        "source": "unknown",
    }
