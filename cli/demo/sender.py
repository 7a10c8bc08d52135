"""Plays the gateway: sends each message of the story as Evolution would."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import time
from collections.abc import Sequence
from typing import Any

from cli.demo.log_reader import Event, Journal
from cli.demo.process_connections import Connections
from cli.demo.record import Delivery
from cli.demo.script import Step

CHANNEL = "loja"
OUR_NUMBER = "5511900000000@s.whatsapp.net"
LOGGED_WITHIN_S = 5.0
TAKEN_IN = "📥"
"""The marker of the log line that each message gets."""


class NotAccepted(Exception):
    """The webhook did not take a message; the message says how it answered."""


class Sender:
    """One POST per step, to the webhook processes in turn."""

    def __init__(self, port: int, token: str, pids: Sequence[int], journal: Journal) -> None:
        self._token = token
        self._turns = itertools.cycle(pids)
        self._journal = journal
        self._connections = Connections(port, pids)

    async def send(self, step: Step) -> Delivery:
        """Send a step and find out who took it; raises NotAccepted."""
        start, sent_ms = self._journal.length(), time.time() * 1000
        try:
            counts = await asyncio.to_thread(self._post, step, next(self._turns))
            event = await self._journal.find(_is_arrival, start, LOGGED_WITHIN_S)
        except (OSError, http.client.HTTPException) as error:
            raise NotAccepted(f"the webhook does not answer: {error or type(error).__name__}") from None
        return Delivery(step, sent_ms, event["pid"], counts["duplicates"] == 1, event["deadline_ms"])

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def _post(self, step: Step, pid: int) -> dict[str, int]:
        connection = self._connections.to(pid)
        headers = {"content-type": "application/json", "authorization": f"Bearer {self._token}", "connection": "close"}
        try:
            connection.request("POST", "/webhooks/evolution", json.dumps(evolution_body(step)), headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise NotAccepted(f"the webhook answered {response.status}: {content.decode('utf-8', 'replace')}")
        counts: dict[str, int] = json.loads(content)
        return counts


def _is_arrival(event: Event) -> bool:
    return TAKEN_IN in str(event.get("event"))


def evolution_body(step: Step) -> dict[str, Any]:
    """The webhook of Evolution API v2 for a text message."""
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
