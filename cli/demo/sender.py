"""Sends each message of the script to the webhook, as Evolution does: those of the people, and our own."""

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
from cli.demo.stub_gateway import sent_data

CHANNEL = "loja"
OUR_NUMBER = "5511900000000@s.whatsapp.net"
LOGGED_WITHIN_S = 5.0
RECEIVED_MARKER = "📥"
"""Marks the log line that the webhook writes for each message."""

DISCARDED_WORDS = "descartada"
"""Stands in that line if a human answers the person."""

TAKEOVER_MARKER = "🙋"
"""Marks the log line that the webhook writes when a human has taken over."""


class NotAccepted(Exception):
    """The webhook did not accept a message."""


class Sender:
    """Sends one POST per step, to the webhook processes in turn."""

    def __init__(self, port: int, token: str, pids: Sequence[int], logs: LogReader) -> None:
        self._token = token
        self._next_pid = itertools.cycle(pids)
        self._logs = logs
        self._connections = ProcessConnections(port, pids)
        self._one_at_a_time = asyncio.Lock()

    async def send(self, step: Step) -> Delivery:
        """Send a message of a person. Return it with the process that received it. Raises NotAccepted."""
        sent_ms = time.time() * 1000
        counts, event = await self._send(evolution_body(step), RECEIVED_MARKER)
        is_discarded = DISCARDED_WORDS in event["event"]
        return Delivery(step, sent_ms, event["pid"], counts["duplicates"] == 1, event["deadline_ms"], is_discarded)

    async def send_human(self, step: Step) -> int:
        """Send what a human of ours writes to a person. Return the process that noted it. Raises NotAccepted."""
        _, event = await self._send(human_body(step), TAKEOVER_MARKER)
        return int(event["pid"])

    async def send_echo(self, number: str, text: str, message_id: str) -> None:
        """Send the echo of a message of the bot. Raises NotAccepted."""
        body = {"event": "send.message", "instance": CHANNEL, "data": sent_data(number, text, message_id)}
        await self._in_thread(body)

    async def _send(self, body: dict[str, Any], marker: str) -> tuple[dict[str, int], Event]:
        start = self._logs.count()
        counts = await self._in_thread(body)
        return counts, await self._logs.find(lambda event: marker in str(event.get("event")), start, LOGGED_WITHIN_S)

    async def _in_thread(self, body: dict[str, Any]) -> dict[str, int]:
        try:
            async with self._one_at_a_time:
                return await asyncio.to_thread(self._post, body, next(self._next_pid))
        except (OSError, http.client.HTTPException) as error:
            raise NotAccepted(f"the webhook does not respond: {str(error) or type(error).__name__}") from None

    def close(self) -> None:
        """Close the unused connections."""
        self._connections.close()

    def _post(self, body: dict[str, Any], pid: int) -> dict[str, int]:
        connection = self._connections.take(pid)
        headers = {"content-type": "application/json", "authorization": f"Bearer {self._token}", "connection": "close"}
        try:
            connection.request("POST", "/webhooks/evolution", json.dumps(body), headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise NotAccepted(f"the webhook responded {response.status}: {content.decode('utf-8', 'replace')}")
        counts: dict[str, int] = json.loads(content)
        return counts


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


def human_body(step: Step) -> dict[str, Any]:
    """Return the webhook of Evolution API v2 for a message that was typed on the phone with our number."""
    data = sent_data(step.person.phone, step.text, step.message_id)
    return {"event": "messages.upsert", "instance": CHANNEL, "data": data | {"source": "ios"}, "sender": OUR_NUMBER}
