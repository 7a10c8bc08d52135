"""The OpenAPI description of `/webhooks/…`, which does not pass through FastAPI."""

from __future__ import annotations

from typing import Any

_ERROR = {
    "type": "object",
    "required": ["error", "detail"],
    "properties": {"error": {"type": "string"}, "detail": {"type": "string"}},
}
_COUNTS = {
    "type": "object",
    "required": ["accepted", "duplicates", "ignored"],
    "properties": {name: {"type": "integer", "minimum": 0} for name in ("accepted", "duplicates", "ignored")},
}


def _answer(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _parameter(name: str, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string"},
    }


def _operation(name: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "post": {
            "tags": ["webhooks"],
            "summary": "Receive what a messaging gateway sends",
            "operationId": name,
            "parameters": parameters,
            "requestBody": {"required": True, "content": {"application/json": {"schema": {}}}},
            "responses": {
                "200": _answer("Stored in Redis (or authentic and of no interest)", _COUNTS),
                "400": _answer("The body is not what this gateway sends", _ERROR),
                "401": _answer("The token is wrong or missing", _ERROR),
                "404": _answer("Unknown gateway, or no secret is configured for it", _ERROR),
                "413": _answer("The body is larger than WEBHOOK_MAX_BODY", _ERROR),
                "503": _answer("Not stored: send it again", _ERROR),
            },
        }
    }


_GATEWAY = _parameter("gateway", "generic, evolution, …")
_TAIL = _parameter("tail", "names the channel where the body cannot")

WEBHOOK_PATHS: dict[str, Any] = {
    "/webhooks/{gateway}": _operation("receive", [_GATEWAY]),
    "/webhooks/{gateway}/{tail}": _operation("receive_for_channel", [_GATEWAY, _TAIL]),
}
"""Paths to merge into the schema that FastAPI makes."""
