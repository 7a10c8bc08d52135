"""Channels and people as an operator writes them: `evolution/loja`, and a number or the id of a chat."""

from __future__ import annotations

import re
from typing import NamedTuple

from buffer.insight_models import ConversationView
from buffer.keys import Ref
from buffer.models import Conversation
from buffer.person_store import People
from buffer.phone_numbers import WHATSAPP
from buffer.store import Store
from cli.target import Unknown
from config.logs import mask, mask_phones
from config.settings import SettingsError
from config.spelling import nearest
from gateways.registry import GATEWAYS

REF = re.compile(r"\d{1,4}-[A-Za-z0-9_-]{16}", re.ASCII)
"""The reference of a conversation, as `debouncer pending` and the admin API show it."""

WRITTEN_PHONE = re.compile(r"\+?[\d ().-]{8,}")
"""A phone number as people write it."""


class Named(NamedTuple):
    """A conversation that an operator has named. `view` is what it waits for, None if the person is unknown."""

    ref: Ref
    who: Conversation
    view: ConversationView | None

    @property
    def name(self) -> str:
        """Return the ref under which the person is listed. `ref` may be that of an alias."""
        return self.view.ref if self.view else str(self.ref)


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


async def find(store: Store, channel: str, person: str | None) -> Named:
    """Return the conversation of a channel and a person, or of a ref alone. Raises SettingsError or Unknown.

    A person may be unknown to the store, a ref may not: only the store can tell whose it is.
    """
    if person is not None:
        who = conversation_named(channel, person)
        ref = store.ref(who)
        return Named(ref, who, await People(store).look(ref, 0))
    ref = ref_named(store, channel)
    view = await People(store).look(ref, 0)
    if view is None:
        raise Unknown(f"nothing is known of a conversation {channel}; `debouncer pending` lists those that wait")
    return Named(ref, view.conversation, view)


def ref_named(store: Store, text: str) -> Ref:
    """Return the ref that stands alone for a conversation. Raises SettingsError if it cannot be one."""
    if REF.fullmatch(text) and (ref := Ref.parse(text)).partition < store.settings.redis_partitions:
        return ref
    if "/" in text:
        raise SettingsError(f"{text!r:.60} needs a person behind it: the number, or the id of the chat")
    raise SettingsError(f"{text!r:.60} is no conversation; write gateway/channel and the person, or a ref of `pending`")


def who_text(conversation: Conversation, show: bool = False) -> str:
    """Return gateway, channel and person, with phone numbers masked unless `show`."""
    gateway, channel, peer = conversation
    if not gateway:
        return "?"
    return f"{gateway}/{channel} {peer}" if show else f"{gateway}/{mask_phones(channel)} {mask(peer)}"
