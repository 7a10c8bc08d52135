"""Sends each message of the script to the webhook, as Evolution does."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import time
from collections.abc import Sequence
from typing import Any

from cli.demo.log_reader import Event, LogReader
from cli.demo.process_connections import ProcessConnections
from cli.demo.record import Delivery
from cli.demo.script import Step

CHANNEL = "loja"
OUR_NUMBER = "5511900000000@s.whatsapp.net"
LOGGED_WITHIN_S = 5.0
RECEIVED_MARKER = "📥"
"""Marks the log line that the webhook writes for each message."""


class NotAccepted(Exception):
    """The webhook did not accept a message."""


class Sender:
    """Sends one POST per step, to the webhook processes in turn."""

    def __init__(self, port: int, token: str, pids: Sequence[int], logs: LogReader) -> None:
        self._token = token
        self._next_pid = itertools.cycle(pids)
        self._logs = logs
        self._connections = ProcessConnections(port, pids)

    async def send(self, step: Step) -> Delivery:
        """Send a step and return it with the process that received it. Raises NotAccepted."""
        start, sent_ms = self._logs.count(), time.time() * 1000
        try:
            counts = await asyncio.to_thread(self._post, step, next(self._next_pid))
            event = await self._logs.find(_is_received, start, LOGGED_WITHIN_S)
        except (OSError, http.client.HTTPException) as error:
            raise NotAccepted(f"the webhook does not respond: {str(error) or type(error).__name__}") from None
        return Delivery(step, sent_ms, event["pid"], counts["duplicates"] == 1, event["deadline_ms"])

    def close(self) -> None:
        """Close the unused connections."""
        self._connections.close()

    def _post(self, step: Step, pid: int) -> dict[str, int]:
        connection = self._connections.take(pid)
        headers = {"content-type": "application/json", "authorization": f"Bearer {self._token}", "connection": "close"}
        try:
            connection.request("POST", "/webhooks/evolution", json.dumps(evolution_body(step)), headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise NotAccepted(f"the webhook responded {response.status}: {content.decode('utf-8', 'replace')}")
        counts: dict[str, int] = json.loads(content)
        return counts


def _is_received(event: Event) -> bool:
    return RECEIVED_MARKER in str(event.get("event"))


def evolution_body(step: Step) -> dict[str, Any]:
    """Return the webhook of Evolution API v2 for a text message."""
    return {
        "event": "messages.upsert",
        "instance": CHANNEL,
        "data": {
            "key": {"remoteJid": f"{step.person.phone}@s.whatsapp.net", "fromMe": False, "id": step.message_id},
            "pushName": step.person.name,
            "status": "DELIVERY_ACK",
            "message": {"conversation": step.text},
            "messageType": "conversation",
            "messageTimestamp": int(time.time()),
            "source": "android",
        },
        "sender": OUR_NUMBER,
        "apikey": None,
    }
