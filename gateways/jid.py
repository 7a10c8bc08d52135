"""WhatsApp addresses as gateways write them, `user@host` of a phone, a lid or a group, and the chats they name."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from buffer.models import Conversation
from gateways.base import text_of

PHONE_HOSTS = ("@s.whatsapp.net", "@c.us")
SILENT_HOSTS = ("@broadcast", "@newsletter")
GROUP_HOSTS = ("@g.us", "-group")


class Person(NamedTuple):
    """The name to answer to (a phone's digits, else the first jid whole), and the lid beside a phone."""

    name: str | None
    alias: str | None


class Chat(NamedTuple):
    """Where an event happened, and whether it is ours; `alias` is the lid of a person whose phone is known."""

    conversation: Conversation
    alias: str | None
    is_group: bool
    from_me: bool


def chat_of(
    where: tuple[str, str], address: Any, others: Collection[Any], *, is_group: bool, from_me: bool
) -> Chat | None:
    """The chat with this address in a gateway and channel; None for what is no chat. `others`: names of the person."""
    jid = bare(address)
    if jid is None or jid.endswith(SILENT_HOSTS):
        return None
    gateway, channel = where
    if jid.endswith(PHONE_HOSTS) and not (others or is_group):
        return Chat(Conversation(gateway, channel, jid.partition("@")[0]), None, False, from_me)
    if is_group or jid.endswith(GROUP_HOSTS):
        return Chat(Conversation(gateway, channel, jid), None, True, from_me)
    peer, alias = _known_as([jid, *map(bare, others)])
    return Chat(Conversation(gateway, channel, peer or jid), alias, False, from_me)


def bare(jid: Any) -> str | None:
    """A jid without the device (`digits:12@host`); None when nobody is named."""
    written = jid if isinstance(jid, str) else text_of(jid)
    if not written:
        return None
    user, at, host = written.partition("@")
    if ":" not in user:
        return written if user else None
    user = user.partition(":")[0]
    return user + at + host if user else None


def person(names: Iterable[Any]) -> Person:
    """Who is known by these names; a phone may come as a jid or as digits alone."""
    return Person(*_known_as(map(bare, names)))


def _known_as(jids: Iterable[str | None]) -> tuple[str | None, str | None]:
    first = phone = lid = None
    for jid in jids:
        if jid is None:
            continue
        first = first or jid
        if phone is None and (jid.endswith(PHONE_HOSTS) or (jid.isascii() and jid.isdigit())):
            phone = jid.partition("@")[0]
        elif lid is None and jid.endswith("@lid"):
            lid = jid
    return (first, None) if phone is None else (phone, lid)
