"""The JSON schema of the generic gateway's body, with the limits that its `parse` enforces."""

from __future__ import annotations

from buffer.models import KINDS
from gateways.base import BodySchema, OpenAPIObject
from gateways.fields import MAX_TIME_MS

MAX_MESSAGES = 1000
"""The number of messages in one request."""

MEDIA_FIELDS = ("url", "id", "mime", "caption", "filename", "base64")

DEVICE = "device"
VIA = (DEVICE, "api")
"""How a message of ours was sent: by a human on a device, or by a program."""

TEXT: OpenAPIObject = {"type": ["string", "null"]}
ID: OpenAPIObject = {
    "anyOf": [
        {"type": "string", "pattern": r"\S"},
        {"type": "integer", "minimum": -(2**63), "maximum": 2**64 - 1},
    ]
}
ID_OR_NULL: OpenAPIObject = {"anyOf": [*ID["anyOf"], {"type": "null"}]}

PROPERTIES: OpenAPIObject = {
    "conversation": ID | {"description": "The id of the person, e.g. their phone"},
    "text": TEXT,
    "message_id": ID_OR_NULL | {"description": "By it the same message is known again; without: always new"},
    "timestamp_ms": {"type": ["integer", "null"], "minimum": 0, "maximum": MAX_TIME_MS - 1},
    "kind": {"enum": [*sorted(KINDS), None], "default": "text"},
    "media": {
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": {name: TEXT for name in MEDIA_FIELDS},
    },
    "sender_name": TEXT,
    "typing": {
        "type": ["boolean", "null"],
        "description": "Without a message: whether the person is typing now, or has stopped",
    },
    "channel": ID_OR_NULL | {"description": "Which of your numbers; default: the tail of the path"},
    "from_me": {"type": ["boolean", "null"], "description": "true: you have sent this message to the person"},
    "via": {
        "enum": [*VIA, None],
        "description": "How you have sent it: a human on a `device`, or a program by `api` (the default)",
    },
}


def _non_empty(name: str) -> OpenAPIObject:
    return {"required": [name], "properties": {name: {"type": "string", "minLength": 1}}}


HAS_CONTENT: list[OpenAPIObject] = [
    _non_empty("text"),
    {
        "required": ["media"],
        "properties": {"media": {"type": "object", "anyOf": [_non_empty(name) for name in MEDIA_FIELDS]}},
    },
    {"required": ["kind"], "properties": {"kind": {"enum": sorted(KINDS - {"text"})}}},
    {"required": ["typing"], "properties": {"typing": {"type": "boolean"}}},
]
"""An object has one of these: a text, a file, a kind other than text, or a typing event."""

MESSAGE: OpenAPIObject = {
    "type": "object",
    "required": ["conversation"],
    "properties": PROPERTIES,
    "anyOf": HAS_CONTENT,
}
BODY_SCHEMA = BodySchema(
    "application/json", {"anyOf": [MESSAGE, {"type": "array", "maxItems": MAX_MESSAGES, "items": MESSAGE}]}
)
