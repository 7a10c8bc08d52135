"""WhatsApp addresses (jids) as gateways write them: `user@host` of a phone, a lid or a group, and their chats."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from buffer.models import Conversation, Ignored
from gateways.fields import text_of
from gateways.ignored import ignored, misfit

PHONE_HOSTS = ("@s.whatsapp.net", "@c.us")
IGNORED_HOSTS = ("@broadcast", "@newsletter")
GROUP_HOSTS = ("@g.us", "-group")


class Person(NamedTuple):
    """The peer to reply to (the digits of the phone, else the first jid), and the lid of a person with a phone."""

    peer: str | None
    alias: str | None


class Chat(NamedTuple):
    """The chat of an event, and whether the event is ours. `alias` is the lid of a person whose phone is known."""

    conversation: Conversation
    alias: str | None
    is_group: bool
    from_me: bool


def chat_of(
    source: tuple[str, str], address: Any, other_jids: Collection[Any], *, is_group: bool, from_me: bool
) -> Chat | None:
    """Return the chat with an address, for a source (gateway, channel). `other_jids` are of the same person.

    Returns None if there is no address, and for broadcast lists and newsletters.
    """
    jid = bare_jid(address)
    if jid is None or jid.endswith(IGNORED_HOSTS):
        return None
    gateway, channel = source
    if jid.endswith(PHONE_HOSTS) and not (other_jids or is_group):
        return Chat(Conversation(gateway, channel, jid.partition("@")[0]), None, False, from_me)
    if is_group or jid.endswith(GROUP_HOSTS):
        return Chat(Conversation(gateway, channel, jid), None, True, from_me)
    peer, alias = _identify([jid, *map(bare_jid, other_jids)])
    return Chat(Conversation(gateway, channel, peer or jid), alias, False, from_me)


def no_chat(address: Any, event: str | None, *objects: Any) -> Ignored:
    """Return why an event has no chat: it is of a broadcast list or a newsletter, or its objects fit no known form."""
    jid = bare_jid(address)
    return ignored("status") if jid and jid.endswith(IGNORED_HOSTS) else misfit(event, *objects)


def bare_jid(jid: Any) -> str | None:
    """Return a jid without its device (`digits:12@host`), or None if there is no user in it."""
    written = jid if isinstance(jid, str) else text_of(jid)
    if not written:
        return None
    user, at, host = written.partition("@")
    if ":" not in user:
        return written if user else None
    user = user.partition(":")[0]
    return user + at + host if user else None


def person_of(jids: Iterable[Any]) -> Person:
    """Return the person with these addresses. A phone is a jid, or digits alone."""
    return Person(*_identify(map(bare_jid, jids)))


def _identify(jids: Iterable[str | None]) -> tuple[str | None, str | None]:
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
