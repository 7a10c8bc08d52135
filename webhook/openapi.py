"""The OpenAPI description of `/webhooks/…`, made of the gateway records. FastAPI does not serve these paths."""

from __future__ import annotations

from gateways.base import Gateway, OpenAPIObject, Verification
from gateways.registry import GATEWAYS

JSON = "application/json"
_COUNTS = ("accepted", "duplicates", "ignored")
SCHEMAS: OpenAPIObject = {
    "Error": {
        "type": "object",
        "required": ["error", "detail"],
        "additionalProperties": False,
        "properties": {
            "error": {"type": "string", "pattern": "^[a-z_]+$", "description": "a code for programs"},
            "detail": {"type": "string", "minLength": 1, "description": "a sentence that says what to do"},
        },
    },
    "Counts": {
        "type": "object",
        "required": list(_COUNTS),
        "additionalProperties": False,
        "properties": {name: {"type": "integer", "minimum": 0} for name in _COUNTS},
        "description": "What became of the messages of a body; an edit, revoke or typing event that changed a buffer "
        "counts as accepted",
    },
}


def add_webhooks(schema: OpenAPIObject) -> OpenAPIObject:
    """Add the paths and security schemes of all gateways to FastAPI's schema, and return it."""
    components = schema.setdefault("components", {})
    components.setdefault("schemas", {}).update(SCHEMAS)
    security_schemes = components.setdefault("securitySchemes", {})
    for gateway in GATEWAYS.values():
        security_schemes.update(gateway.security_schemes)
        schema["paths"][f"/webhooks/{gateway.name}"] = _path(gateway, [])
        schema["paths"][f"/webhooks/{gateway.name}/{{tail}}"] = _path(gateway, [_TAIL])
    return schema


def without_422(schema: OpenAPIObject) -> OpenAPIObject:
    """Remove FastAPI's own form of errors about parameters, which this service does not use, and return the schema."""
    for item in schema["paths"].values():
        for operation in item.values():
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        schema.get("components", {}).get("schemas", {}).pop(name, None)
    return schema


_TAIL: OpenAPIObject = {
    "name": "tail",
    "in": "path",
    "required": True,
    "description": "Names the channel where the body cannot (generic, Telegram); ignored elsewhere",
    "schema": {"type": "string"},
}


def _path(gateway: Gateway, parameters: list[OpenAPIObject]) -> OpenAPIObject:
    suffix = "ForChannel" if parameters else ""
    path: OpenAPIObject = {"parameters": parameters, "post": _delivery(gateway, suffix)}
    if gateway.verification:
        path["get"] = _verification(gateway.name, gateway.verification, suffix)
    return path


def _delivery(gateway: Gateway, suffix: str) -> OpenAPIObject:
    media_type, schema = gateway.body_schema
    return {
        "tags": ["webhooks"],
        "summary": f"Receive what {gateway.name} sends",
        "operationId": f"{gateway.name}{suffix}",
        "security": [{name: []} for name in gateway.security_schemes],
        "requestBody": {"required": True, "content": {media_type: {"schema": schema}}},
        "responses": {"200": _success(gateway), **_errors(gateway)},
    }


def _success(gateway: Gateway) -> OpenAPIObject:
    description = "Stored in Redis, or authentic and of no interest"
    if gateway.success_reply is None:
        return _json_reply(description, "Counts")
    content_type = gateway.success_reply.content_type
    return {"description": description, "content": {content_type: {"schema": {"type": "string"}}}}


def _errors(gateway: Gateway) -> OpenAPIObject:
    not_stored = _json_reply("Not stored: send the same again", "Error")
    not_stored["headers"] = _header("Retry-After", "Seconds until it is worth trying", {"type": "integer"})
    return {
        "400": _json_reply(f"The body is not what {gateway.name} sends", "Error"),
        "401": _json_reply("The token or signature is wrong or missing", "Error"),
        "408": _json_reply("The body did not arrive within WEBHOOK_BODY_TIMEOUT", "Error"),
        "413": _json_reply("The body is larger than WEBHOOK_MAX_BODY", "Error"),
        str(gateway.retry_status): not_stored,
        **_CLOSED,
    }


def _verification(name: str, verification: Verification, suffix: str) -> OpenAPIObject:
    return {
        "tags": ["webhooks"],
        "summary": "Answer the question that comes before the first delivery",
        "operationId": f"{name}Handshake{suffix}",
        "parameters": list(verification.query_parameters),
        "responses": {
            "200": {"description": "The challenge", "content": {"text/plain": {"schema": {"type": "string"}}}},
            "403": _json_reply("The verify token is not the one configured here", "Error"),
            "413": _json_reply("The body is larger than WEBHOOK_MAX_BODY", "Error"),
            **_CLOSED,
        },
    }


def _header(name: str, description: str, schema: OpenAPIObject) -> OpenAPIObject:
    return {name: {"required": True, "description": description, "schema": schema}}


def _json_reply(description: str, schema: str) -> OpenAPIObject:
    return {"description": description, "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}}


_CLOSED = {
    "404": _json_reply("No secret of this gateway is configured, so it is closed", "Error"),
    "405": _json_reply("Neither a delivery nor a question", "Error")
    | {"headers": _header("Allow", "What may be asked here", {"type": "string"})},
}
