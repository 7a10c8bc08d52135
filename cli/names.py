"""Channels and people as an operator writes them: `evolution/loja`, and a number or the id of a chat."""

from __future__ import annotations

import re

from buffer.models import Conversation
from buffer.phone_numbers import WHATSAPP
from buffer.store import Store
from config.settings import SettingsError
from config.spelling import nearest
from gateways.registry import GATEWAYS

WRITTEN_PHONE = re.compile(r"\+?[\d ().-]{8,}")
"""A phone number as people write it."""


def channel_named(text: str) -> tuple[str, str]:
    """Return gateway and channel of `gateway/channel`. Raises SettingsError with what to write instead."""
    gateway, _, channel = text.partition("/")
    if gateway in GATEWAYS and channel:
        return gateway, channel
    meant = gateway if gateway in GATEWAYS else nearest(gateway, GATEWAYS)
    hint = f"did you mean {meant}/{channel or 'CHANNEL'}?" if meant else f"gateways: {', '.join(GATEWAYS)}"
    raise SettingsError(f"{text!r:.60} is no channel; write gateway/channel, e.g. evolution/loja; {hint}")


def conversation_named(channel: str, person: str) -> Conversation:
    """Return a conversation. A WhatsApp number may be written with +, spaces and dashes. Raises SettingsError."""
    gateway, name = channel_named(channel)
    if gateway in WHATSAPP and WRITTEN_PHONE.fullmatch(person.strip()):
        person = re.sub(r"\D", "", person)
    if not person.strip():
        raise SettingsError("the person is empty; write the number or the id of the chat, as the gateway has it")
    return Conversation(gateway, name, person.strip())


async def is_known(store: Store, conversation: Conversation) -> bool:
    """Return True if anything is stored about the person: they have written, or were paused before."""
    ref = store.ref(conversation)
    if await store.client.exists(store.keys.of(ref.partition, "conv", ref.hash)):
        return True
    return bool(await store.client.hexists(store.keys.of(ref.partition, "alias"), ref.hash))
