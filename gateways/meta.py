"""Meta's WhatsApp Cloud API: signed batches over several entries, people and numbers of ours.

Anything but 200 makes Meta send a whole batch again for 7 days, so an authentic body is never refused for what
it holds: what cannot be read is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from buffer.models import Conversation, Edit, Event, Message, Revoke
from config.settings import Settings
from gateways.base import (
    Gateway,
    HTTPReply,
    Request,
    is_signed,
    object_of,
    objects_of,
    read_json,
    secrets_equal,
    text_of,
    time_of,
)
from gateways.meta_content import quoted_id, read_content

NAME = "meta"
WHATSAPP = "whatsapp_business_account"
SYSTEM = "system"


class Field(NamedTuple):
    """Where a kind of change keeps its messages, and how it names the other side in them."""

    items: str
    phone: str
    user_id: str
    from_me: bool


class Person(NamedTuple):
    """Somebody by phone, by business-scoped user id (people with a username may show no phone), or both."""

    phone: str | None
    user_id: str | None
    name: str | None = None


class Change(NamedTuple):
    """What the messages of one change have in common; `people` by each of their names."""

    field: Field
    channel: str
    people: dict[str, Person]


class Chat(NamedTuple):
    """Where a message was sent, and who is on the other side."""

    conversation: Conversation
    person: Person
    is_group: bool
    from_me: bool


FIELDS = {
    "messages": Field("messages", "from", "from_user_id", from_me=False),
    "smb_message_echoes": Field("message_echoes", "to", "to_user_id", from_me=True),
}


def is_open(settings: Settings) -> bool:
    """Whether the secret that signs deliveries is configured."""
    return settings.meta_app_secret is not None


def verify(request: Request, settings: Settings) -> bool:
    """Whether the body, byte for byte, was signed with the app's secret."""
    given = request.headers.get("x-hub-signature-256", "").removeprefix("sha256=")
    return is_signed(given, settings.meta_app_secret, "sha256", request.body)


def handshake(request: Request, settings: Settings) -> HTTPReply:
    """Give the challenge back to somebody who knows the verify token, as Meta asks before it sends."""
    known = settings.webhook_allow_unsigned or secrets_equal(
        request.query.get("hub.verify_token", ""), settings.meta_verify_token
    )
    if known and request.query.get("hub.mode") == "subscribe":
        return HTTPReply(200, "text/plain; charset=utf-8", request.query.get("hub.challenge", "").encode())
    detail = "`hub.mode` must be subscribe and `hub.verify_token` must be the META_VERIFY_TOKEN of this service"
    return HTTPReply(403, "application/json", orjson.dumps({"error": "forbidden", "detail": detail}))


def parse(request: Request) -> list[Event]:
    """The events of one body, in its order: timestamps are whole seconds. Raises BadRequest on what is not JSON."""
    body = object_of(read_json(request.body))
    if body.get("object") != WHATSAPP:
        return []
    changes = [change for entry in objects_of(body.get("entry")) for change in objects_of(entry.get("changes"))]
    return [event for change in changes for event in _events(change)]


def _events(written: dict[str, Any]) -> Iterator[Event]:
    field = FIELDS.get(text_of(written.get("field")) or "")
    value = object_of(written.get("value"))
    channel = text_of(object_of(value.get("metadata")).get("phone_number_id"))
    if field is None or channel is None:
        return
    change = Change(field, channel, _people(value))
    for item in objects_of(value.get(field.items)):
        if event := _event(item, change):
            yield event


def _people(value: dict[str, Any]) -> dict[str, Person]:
    people: dict[str, Person] = {}
    for contact in objects_of(value.get("contacts")):
        name = text_of(object_of(contact.get("profile")).get("name"))
        person = Person(text_of(contact.get("wa_id")), text_of(contact.get("user_id")), name)
        people |= {key: person for key in (person.phone, person.user_id) if key}
    return people


def _event(item: dict[str, Any], change: Change) -> Event | None:
    chat, name = _chat(item, change), text_of(item.get("type"))
    if chat is None or name == SYSTEM:
        return None
    if name == "edit":
        return _edit(item, chat)
    if name == "revoke":
        target_id = text_of(object_of(item.get("revoke")).get("original_message_id"))
        return Revoke(chat.conversation, target_id) if target_id else None
    return _message(item, chat)


def _chat(item: dict[str, Any], change: Change) -> Chat | None:
    person, group_id = _person(item, change), text_of(item.get("group_id"))
    peer = group_id or person.phone or person.user_id
    if peer is None:
        return None
    return Chat(Conversation(NAME, change.channel, peer), person, group_id is not None, change.field.from_me)


def _person(item: dict[str, Any], change: Change) -> Person:
    phone, user_id = text_of(item.get(change.field.phone)), text_of(item.get(change.field.user_id))
    known = change.people.get(phone or "") or change.people.get(user_id or "") or Person(None, None)
    return Person(phone or known.phone, user_id or known.user_id, known.name)


def _message(item: dict[str, Any], chat: Chat) -> Message | None:
    content, person = read_content(item), chat.person
    if content is None:
        return None
    around = {"quoted_id": quoted_id(item), "participant": _author(chat)}
    return Message(
        conversation=chat.conversation,
        message_id=text_of(item.get("id")),
        timestamp_ms=time_of(item.get("timestamp"), 1000),
        kind=content.kind,
        text=content.text,
        media=content.media,
        sender_name=None if chat.from_me else person.name,
        from_me=chat.from_me,
        is_group=chat.is_group,
        conversation_alias=person.user_id if person.phone and not chat.is_group else None,
        extra=content.extra | {name: value for name, value in around.items() if value},
    )


def _author(chat: Chat) -> str | None:
    if chat.from_me or not chat.is_group:
        return None
    return chat.person.phone or chat.person.user_id


def _edit(item: dict[str, Any], chat: Chat) -> Edit | None:
    edit = object_of(item.get("edit"))
    target_id, content = text_of(edit.get("original_message_id")), read_content(object_of(edit.get("message")))
    if target_id is None or content is None or content.text is None:
        return None
    return Edit(chat.conversation, target_id, content.text, time_of(item.get("timestamp"), 1000), chat.from_me)


GATEWAY = Gateway(NAME, is_open, verify, parse, handshake=handshake)
