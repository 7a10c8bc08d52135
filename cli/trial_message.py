"""`debouncer check --send`: sends one test message through a channel, with the gateway's own sender."""

from __future__ import annotations

import asyncio
import secrets
import sys

from buffer.models import Conversation
from cli.confirm import says_yes
from cli.names import conversation_named, who_text
from config.routes import Routes
from config.settings import SettingsError
from gateways.registry import GATEWAYS
from gateways.sending import (
    Again,
    InDoubt,
    Part,
    PartId,
    Refused,
    ReplyTo,
    Sender,
    SendResponse,
    SendResult,
    Sent,
    Target,
)
from gateways.sending_http import without_secrets
from gateways.targets import target_of, why_not_sent
from worker.replies import FORMS_MAX
from worker.reply_client import ReplyClient

TEXT = "This is a test message of debouncer. Nothing needs to be done."


def run(routes: Routes, channel: str, person: str, *, is_confirmed: bool) -> int:
    """Ask, then send. Return 0 if the gateway took the message, else 1. Raises SettingsError."""
    who = conversation_named(channel, person)
    route = routes.of(who.gateway, who.channel)
    sender, target = GATEWAYS[who.gateway].sender, target_of(route.settings, who.gateway)
    if sender is None or target is None:
        reason = why_not_sent(route.settings, who.gateway) or "this gateway sends no replies"
        raise SettingsError(f"nothing was sent to {who_text(who)}: {reason}")
    if not (is_confirmed or says_yes(f"Send one test message to {who_text(who)}? [y/N] ")):
        print("Nothing was sent.", file=sys.stderr)
        return 1
    result = without_secrets(asyncio.run(_send(sender, target, who)), target, Part())
    print(_outcome(who, result), file=sys.stdout if isinstance(result, Sent) else sys.stderr)
    return 0 if isinstance(result, Sent) else 1


async def _send(sender: Sender, target: Target, who: Conversation) -> SendResult:
    """Send the message, in another form where the gateway asks for one."""
    client, to, part_id = ReplyClient(), ReplyTo(who, {}), PartId(f"check-{secrets.token_hex(8)}", 1)
    result: SendResult = InDoubt("")
    try:
        for _ in range(FORMS_MAX):
            try:
                request = sender.request(target, to, Part(text=TEXT), part_id)
            except ValueError as error:
                return Refused(f"{error}; only an answer to a person's message can be sent there")
            response = await client.send(request)
            result = sender.read(response, to) if isinstance(response, SendResponse) else response
            if not isinstance(result, Again):
                break
            to = result.reply_to or to
    finally:
        await client.close()
    return result


def _outcome(who: Conversation, result: SendResult) -> str:
    match result:
        case Sent(message_id):
            return f"Sent to {who_text(who)}; the gateway's id of it is {message_id or 'not known'}."
        case InDoubt(reason):
            return f"Nobody knows whether it reached {who_text(who)}: {reason}"
        case _:
            return f"Not sent to {who_text(who)}: {result.reason}"
