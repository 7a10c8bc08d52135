"""The bodies that gateways send, for the OpenAPI description: what is read of them before anything is left out."""

from __future__ import annotations

from typing import Any

from buffer.models import KINDS
from gateways.base import MAX_TIME_MS
from gateways.generic import MAX_MESSAGES, MEDIA_FIELDS

_TEXT = {"type": ["string", "null"]}
_NAME = {
    "anyOf": [
        {"type": "string", "pattern": r"\S"},
        {"type": "integer", "minimum": -(2**63), "maximum": 2**64 - 1},
    ]
}
_NAME_OR_NONE = {"anyOf": [*_NAME["anyOf"], {"type": "null"}]}

_GENERIC = {
    "type": "object",
    "required": ["conversation"],
    "properties": {
        "conversation": _NAME | {"description": "The id of the person, e.g. their phone"},
        "text": _TEXT,
        "message_id": _NAME_OR_NONE | {"description": "By it the same message is known again; without: always new"},
        "timestamp_ms": {"type": ["integer", "null"], "minimum": 0, "maximum": MAX_TIME_MS - 1},
        "kind": {"enum": [*sorted(KINDS), None], "default": "text"},
        "media": {
            "type": ["object", "null"],
            "additionalProperties": False,
            "properties": {name: _TEXT for name in MEDIA_FIELDS},
        },
        "sender_name": _TEXT,
        "channel": _NAME_OR_NONE | {"description": "Which of your numbers; default: the tail of the path"},
    },
    "anyOf": [
        {"required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}},
        {
            "required": ["media"],
            "properties": {
                "media": {
                    "type": "object",
                    "anyOf": [
                        {"required": [name], "properties": {name: {"type": "string", "minLength": 1}}}
                        for name in MEDIA_FIELDS
                    ],
                }
            },
        },
        {"required": ["kind"], "properties": {"kind": {"enum": sorted(KINDS - {"text"})}}},
    ],
}

BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "generic": (
        "application/json",
        {"anyOf": [_GENERIC, {"type": "array", "maxItems": MAX_MESSAGES, "items": _GENERIC}]},
    ),
    "meta": ("application/json", {"description": "Whatever Meta signed is taken, and what is unknown ignored"}),
    "twilio": ("application/x-www-form-urlencoded", {"type": "object", "additionalProperties": {"type": "string"}}),
}
"""Media type and schema by gateway; of the others a JSON object is expected, whose fields are read loosely."""
