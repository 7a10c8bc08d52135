"""Meta's WhatsApp Cloud API: signed bodies with many messages, from many people to several of our numbers.

Meta repeats the whole body for 7 days after any status other than 200. Items that cannot be read are therefore left
out, and an authentic JSON body is never refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from buffer.models import Conversation, Edit, Event, Ignored, Message, Revoke
from config.settings import Settings
from gateways.base import BodySchema, Gateway, HTTPReply, OpenAPIObject, Request, Verification
from gateways.credentials import carries, header_scheme, secrets_equal, signature_matches
from gateways.delivery import marked, report
from gateways.fields import object_of, objects_in, objects_of, passed_on, read_json, text_of, time_of
from gateways.ignored import ignored, misfit
from gateways.meta_content import read_content, read_context
from gateways.meta_errors import failure_words
from gateways.meta_send import SENDER

NAME = "meta"
WHATSAPP = "whatsapp_business_account"
SYSTEM = "system"
STATUSES, ERRORS = "statuses", "errors"
"""The lists of a change that tell what became of messages of ours, and of errors without a message."""


class Field(NamedTuple):
    """The field names of one kind of change: its list of items, and the person's phone and user id in an item."""

    items: str
    phone: str
    user_id: str
    from_me: bool


class Person(NamedTuple):
    """A person with a phone, a business-scoped user id (people with a username may show no phone), or both."""

    phone: str | None
    user_id: str | None
    name: str | None = None


class Change(NamedTuple):
    """The common part of the messages in one change. `people` has each person under phone and user id."""

    field: Field
    channel: str
    people: dict[str, Person]


class Chat(NamedTuple):
    """The chat of a message, and the person on the other side."""

    conversation: Conversation
    person: Person
    is_group: bool
    from_me: bool


FIELDS = {
    "messages": Field("messages", "from", "from_user_id", from_me=False),
    "smb_message_echoes": Field("message_echoes", "to", "to_user_id", from_me=True),
}


def is_open(settings: Settings) -> bool:
    """Return True if the secret that signs deliveries is configured."""
    return settings.meta_app_secret is not None


def verify(request: Request, settings: Settings) -> bool:
    """Return True if the raw body is signed with the app's secret."""
    given = request.headers.get("x-hub-signature-256", "").removeprefix("sha256=")
    return signature_matches(given, settings.meta_app_secret, "sha256", request.body)


def reply_to_verification(request: Request, settings: Settings) -> HTTPReply:
    """Return the challenge if the verify token is right, else 403. Meta asks when the address is registered."""
    is_allowed = settings.webhook_allow_unsigned or secrets_equal(
        request.query.get("hub.verify_token", ""), settings.meta_verify_token
    )
    if is_allowed and request.query.get("hub.mode") == "subscribe":
        return HTTPReply(200, "text/plain; charset=utf-8", request.query.get("hub.challenge", "").encode())
    detail = "`hub.mode` must be subscribe and `hub.verify_token` must be the META_VERIFY_TOKEN of this service"
    return HTTPReply(403, "application/json", orjson.dumps({"error": "forbidden", "detail": detail}))


def parse(request: Request) -> list[Event]:
    """Return the events of one body in its order. Raises BadRequest if it is not JSON.

    The order is kept because timestamps are whole seconds.
    """
    body = read_json(request.body)
    kind = text_of(object_of(body).get("object"))
    if kind is None:
        body = passed_on(body)
        kind = text_of(object_of(body).get("object"))
    if kind != WHATSAPP:
        return [ignored("unknown_event") if kind else misfit(None, body)]
    changes = [change for entry in objects_in(body.get("entry")) for change in objects_in(entry.get("changes"))]
    return [event for change in changes for event in _events(change)] or [misfit(kind, body)]


def _events(change: dict[str, Any]) -> Iterator[Event]:
    name, value = text_of(change.get("field")), object_of(change.get("value"))
    field = FIELDS.get(name or "")
    if field is None:
        yield ignored("unknown_event") if name else misfit(None, change)
        return
    channel = text_of(object_of(value.get("metadata")).get("phone_number_id"))
    items, statuses = objects_in(value.get(field.items)), objects_of(value.get(STATUSES))
    if channel is None or not (items or statuses):
        is_known = channel is not None and bool(value.get(STATUSES) or value.get(ERRORS))
        yield ignored("unknown_event") if is_known else misfit(name, value)
        return
    context = Change(field, channel, _people(value))
    for item in items:
        yield _event(item, context)
    for status in statuses:
        yield _status(status, channel)


def _status(status: dict[str, Any], channel: str) -> Event:
    """Read what became of a message of ours. It carries the mark that the message was sent with."""
    error = next(iter(objects_of(status.get(ERRORS))), {})
    mark = text_of(status.get("biz_opaque_callback_data"))
    return marked(report(NAME, channel, text_of(status.get("id")), status.get("status"), failure_words(error)), mark)


def _people(value: dict[str, Any]) -> dict[str, Person]:
    people: dict[str, Person] = {}
    for contact in objects_in(value.get("contacts")):
        name = text_of(object_of(contact.get("profile")).get("name"))
        person = Person(text_of(contact.get("wa_id")), text_of(contact.get("user_id")), name)
        people |= {key: person for key in (person.phone, person.user_id) if key}
    return people


def _event(item: dict[str, Any], change: Change) -> Event:
    chat, name = _chat(item, change), text_of(item.get("type"))
    if name == SYSTEM:
        return ignored("notification")
    if chat is None:
        return misfit(name, item)
    if name == "edit":
        return _edit(item, chat)
    if name == "revoke":
        target_id = text_of(object_of(item.get("revoke")).get("original_message_id"))
        return Revoke(chat.conversation, target_id) if target_id else misfit(name, item)
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


def _message(item: dict[str, Any], chat: Chat) -> Event:
    content, person = read_content(item), chat.person
    if isinstance(content, Ignored):
        return content
    return Message(
        conversation=chat.conversation,
        message_id=text_of(item.get("id")),
        timestamp_ms=time_of(item.get("timestamp")),
        kind=content.kind,
        text=content.text,
        media=content.media,
        sender_name=None if chat.from_me else person.name,
        from_me=chat.from_me,
        is_group=chat.is_group,
        conversation_alias=person.user_id if person.phone and not chat.is_group else None,
        extra=read_context(item, content, _author(chat)),
    )


def _author(chat: Chat) -> str | None:
    if chat.from_me or not chat.is_group:
        return None
    return chat.person.phone or chat.person.user_id


def _edit(item: dict[str, Any], chat: Chat) -> Event:
    edit = object_of(item.get("edit"))
    target_id, content = text_of(edit.get("original_message_id")), read_content(object_of(edit.get("message")))
    if target_id is None:
        return misfit("edit", item, edit)
    if isinstance(content, Ignored) or content.text is None:
        return ignored("edit_without_text")
    return Edit(chat.conversation, target_id, content.text, time_of(item.get("timestamp")), chat.from_me)


def _query_parameter(name: str, description: str, schema: OpenAPIObject, *, required: bool = True) -> OpenAPIObject:
    return {"name": name, "in": "query", "required": required, "description": description, "schema": schema}


QUERY_PARAMETERS = (
    _query_parameter("hub.mode", "Always `subscribe`", {"const": "subscribe"}),
    _query_parameter("hub.verify_token", "META_VERIFY_TOKEN", {"type": "string"}),
    _query_parameter("hub.challenge", "Comes back as the answer", {"type": "string"}, required=False),
)
GATEWAY = Gateway(
    NAME,
    is_open,
    verify,
    parse,
    verify_head=carries("x-hub-signature-256"),
    security_schemes={
        "metaSignature": header_scheme(
            "X-Hub-Signature-256", "`sha256=` and the HMAC-SHA256 of the raw body with META_APP_SECRET, in hexadecimal"
        )
    },
    auth_hint="with the verify token <META_VERIFY_TOKEN> (Meta signs with its app secret, META_APP_SECRET)",
    body_schema=BodySchema(
        "application/json", {"description": "Whatever Meta signed is taken, and what is unknown ignored"}
    ),
    verification=Verification(reply_to_verification, QUERY_PARAMETERS),
    sender=SENDER,
)
