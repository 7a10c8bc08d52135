"""The service's own format, for senders without a gateway of their own: one message, or a list of them."""

from __future__ import annotations

from typing import Any, NamedTuple

from buffer.models import KINDS, Conversation, Message, Presence
from config.settings import Settings
from gateways.base import BadRequest, Gateway, Request
from gateways.content import known
from gateways.credentials import STATIC_TOKEN, token_matches
from gateways.fields import EARLIEST_S, LATEST_S, MAX_TIME_MS, json_type, passed_on, read_json, time_of
from gateways.generic_schema import BODY_SCHEMA, DEVICE, MAX_MESSAGES, MEDIA_FIELDS, VIA
from gateways.generic_send import SENDER
from gateways.raw import raw_of

NAME = "generic"

EXACT = 2**53
"""Doubles are exact below this number. Larger ones in the body may have lost digits."""

MEDIA_ALWAYS = ("url", "id", "mime", "caption")
"""The fields of `media` that are kept without a value."""


STATES = {True: "composing", False: "paused"}
"""The states that `typing` stands for, in an object that is no message."""

PARTS: dict[str, type] = {
    "location": dict,
    "contacts": list,
    "interactive": dict,
    "order": dict,
    "quoted_id": str,
    "quoted": dict,
    "referral": dict,
    "product": dict,
    "forwarded": bool,
    "transcript": str,
    "thread": dict,
    "links": list,
    "raw": dict,
}
"""The parts of the content beside text and media, with their types. They reach the agent as they are."""

PART_NAMES = frozenset(PARTS)
EARLIEST_MS, LATEST_MS = EARLIEST_S * 1000, LATEST_S * 1000
"""Between these a time is in milliseconds without a doubt."""


class Item(NamedTuple):
    """One object of the body. `where` is its place for error messages, empty for a body that is not a list."""

    fields: dict[str, Any]
    where: str

    def refusal(self, name: str, expected: str) -> BadRequest:
        """Return the error for a field that is missing or not as expected."""
        value = self.fields.get(name)
        found = "is missing" if value is None else f"is {json_type(value)}"
        return BadRequest(f"{self.where}`{name}` {found}: it must be {expected}")


def is_open(settings: Settings) -> bool:
    """Return True if a token is configured."""
    return settings.generic_token is not None


def verify(request: Request, settings: Settings) -> bool:
    """Return True if the request carries the token."""
    return token_matches(request, settings.generic_token)


def parse(request: Request) -> list[Message | Presence]:
    """Return the messages and typing events of one body in its order.

    Raises BadRequest with the field and, in a list, the index.
    """
    body = passed_on(read_json(request.body))
    channel = request.tail.strip("/") or "default"
    if not isinstance(body, list):
        return [_event(_item(body, ""), channel)]
    if len(body) > MAX_MESSAGES:
        raise BadRequest(f"the list has {len(body)} messages: send at most {MAX_MESSAGES} in one request")
    return [_event(_item(value, f"message {index}: "), channel) for index, value in enumerate(body)]


def _item(value: Any, where: str) -> Item:
    if isinstance(value, dict):
        return Item(value, where)
    expected = "it must be an object" if where else "the body must be a JSON object or a list of them"
    raise BadRequest(f"{where}{expected}, not {json_type(value)}")


def _event(item: Item, channel: str) -> Message | Presence:
    peer = _id(item, "conversation")
    if peer is None:
        raise item.refusal("conversation", "a non-empty string or an integer, the id of the person")
    conversation = Conversation(NAME, _id(item, "channel") or channel, peer)
    kind, media, text, typing = _kind(item), _media(item), _text(item, "text"), _typing(item)
    text = text or (media or {}).get("caption")
    message = Message(
        conversation=conversation,
        message_id=_id(item, "message_id"),
        timestamp_ms=_timestamp_ms(item),
        kind=kind,
        text=text,
        media=media,
        sender_name=_text(item, "sender_name"),
        from_me=_from_me(item),
        extra=_extra(item),
    )
    if kind != "text" or text or media:
        return message
    if typing is not None:
        return Presence(conversation, STATES[typing])
    raise item.refusal("text", "a non-empty string, unless there is `media`, `typing` or a `kind` other than text")


def _extra(item: Item) -> dict[str, Any]:
    parts = {} if PART_NAMES.isdisjoint(item.fields) else _parts(item.fields)
    by_api = _via(item) != DEVICE
    return parts | ({"via_api": True} if by_api and _from_me(item) else {})


def _from_me(item: Item) -> bool:
    value = item.fields.get("from_me")
    if not isinstance(value, bool | None):
        raise item.refusal("from_me", "true for a message that was sent from your number, else false")
    return value is True


def _via(item: Item) -> str | None:
    """Return how a message of ours was sent. One without it does not count as a human's."""
    value = item.fields.get("via")
    if value not in (*VIA, None):
        raise item.refusal("via", f"one of {', '.join(VIA)}")
    return value


def _parts(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the optional parts of the content. One of another JSON type is left out, as unknown fields are."""
    given = {name: fields[name] for name, kind in PARTS.items() if fields.get(name) and type(fields[name]) is kind}
    return given | known(raw=raw_of(given.pop("raw", None)))


def _id(item: Item, name: str) -> str | None:
    value = item.fields.get(name)
    if value is None:
        return None
    given = value if isinstance(value, str) else _whole(value)
    if given is None or (isinstance(given, str) and not given.strip()):
        raise item.refusal(name, "a non-empty string or an integer")
    return str(given)


def _whole(value: Any) -> int | None:
    """Return an integer, also if it is written as `5.0`. Return None for other values and for inexact ones."""
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT:
        return int(value)
    return value if type(value) is int else None


def _text(item: Item, name: str) -> str | None:
    value = item.fields.get(name)
    if value is not None and not isinstance(value, str):
        raise item.refusal(name, "a string")
    return value or None


def _typing(item: Item) -> bool | None:
    value = item.fields.get("typing")
    if not isinstance(value, bool | None):
        raise item.refusal("typing", "true while the person types, false when they have stopped")
    return value


def _kind(item: Item) -> str:
    kind = item.fields.get("kind")
    if kind is None:
        return "text"
    if not isinstance(kind, str) or kind not in KINDS:
        raise item.refusal("kind", f"one of {', '.join(sorted(KINDS))}")
    return kind


def _timestamp_ms(item: Item) -> int | None:
    """Return the time of a message. Seconds in its place become milliseconds, and an absurd time counts as absent."""
    value = item.fields.get("timestamp_ms")
    if value is None or (type(value) is int and EARLIEST_MS <= value < LATEST_MS):
        return value
    timestamp_ms = _whole(value)
    if timestamp_ms is None or not 0 <= timestamp_ms < MAX_TIME_MS:
        raise item.refusal("timestamp_ms", "an integer, the milliseconds since 1970")
    return time_of(timestamp_ms)


def _media(item: Item) -> dict[str, Any] | None:
    given = item.fields.get("media")
    if given is None:
        return None
    if not isinstance(given, dict):
        raise item.refusal("media", f"an object with any of {', '.join(MEDIA_FIELDS)}")
    part = Item(given, f"{item.where}in `media`, ")
    for name in given:
        if name not in MEDIA_FIELDS:
            raise BadRequest(f"{part.where}`{name:.60}` is not known: use any of {', '.join(MEDIA_FIELDS)}")
    media = {name: _text(part, name) for name in MEDIA_FIELDS}
    if not any(media.values()):
        return None
    return {name: value for name, value in media.items() if value or name in MEDIA_ALWAYS}


GATEWAY = Gateway(
    NAME,
    is_open,
    verify,
    parse,
    verify_head=verify,
    security_schemes=STATIC_TOKEN,
    auth_hint="with the header `Authorization: Bearer <GENERIC_TOKEN>`",
    body_schema=BODY_SCHEMA,
    sender=SENDER,
)
