"""The OpenAPI description of `/webhooks/…`, which does not pass through FastAPI."""

from __future__ import annotations

from typing import Any, NamedTuple

from gateways.base import Gateway
from gateways.registry import GATEWAYS
from webhook.body_schemas import BODIES

Part = dict[str, Any]

JSON = "application/json"


class Way(NamedTuple):
    """How a gateway shows who it is: by any one of these schemes; `signed` is False where a static token will do."""

    schemes: tuple[str, ...] = ()
    signed: bool = False


WAYS = {
    "evolution": Way(("evolutionKey",)),
    "meta": Way(("metaSignature",), signed=True),
    "twilio": Way(("twilioSignature",), signed=True),
    "chatwoot": Way(("chatwootSignature",)),
    "waha": Way(("wahaSignature",), signed=True),
    "zapi": Way(("zapiToken", "zapiClientToken")),
    "uazapi": Way(("uazapiToken",)),
    "telegram": Way(("telegramSecret",)),
}


def _in_header(name: str, description: str) -> Part:
    return {"type": "apiKey", "in": "header", "name": name, "description": description}


SECURITY_SCHEMES: Part = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "The gateway's token in this service's settings, e.g. GENERIC_TOKEN; of Evolution also a JWT "
        "signed (HS256) with EVOLUTION_JWT_KEY",
    },
    "tokenInQuery": {
        "type": "apiKey",
        "in": "query",
        "name": "token",
        "description": "The same token, for gateways that can set nothing but the address",
    },
    "evolutionKey": _in_header("apikey", "EVOLUTION_TOKEN"),
    "metaSignature": _in_header(
        "X-Hub-Signature-256", "`sha256=` and the HMAC-SHA256 of the raw body with META_APP_SECRET, in hexadecimal"
    ),
    "twilioSignature": _in_header(
        "X-Twilio-Signature",
        "The HMAC-SHA1, in base64, of the address under PUBLIC_BASE_URL and the sorted fields with TWILIO_AUTH_TOKEN",
    ),
    "chatwootSignature": _in_header(
        "X-Chatwoot-Signature",
        "`sha256=` and the HMAC-SHA256 of `X-Chatwoot-Timestamp`, a dot and the raw body with CHATWOOT_SECRET",
    ),
    "wahaSignature": _in_header("X-Webhook-Hmac", "The HMAC-SHA512 of the raw body with WAHA_HMAC_KEY, in hexadecimal"),
    "zapiToken": _in_header("z-api-token", "ZAPI_TOKEN"),
    "zapiClientToken": _in_header("client-token", "ZAPI_TOKEN"),
    "uazapiToken": _in_header("token", "UAZAPI_TOKEN; uazapi itself puts it into the body, as `token`"),
    "telegramSecret": _in_header("X-Telegram-Bot-Api-Secret-Token", "TELEGRAM_SECRET_TOKEN, as given to setWebhook"),
}

_COUNTS = ("accepted", "duplicates", "ignored")
SCHEMAS: Part = {
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


def add_webhooks(schema: Part) -> Part:
    """Add every gateway's paths to the schema that FastAPI made; returns it."""
    components = schema.setdefault("components", {})
    components.setdefault("schemas", {}).update(SCHEMAS)
    components["securitySchemes"] = SECURITY_SCHEMES
    for gateway in GATEWAYS.values():
        schema["paths"][f"/webhooks/{gateway.name}"] = _path(gateway, [])
        schema["paths"][f"/webhooks/{gateway.name}/{{tail}}"] = _path(gateway, [_TAIL])
    return schema


_TAIL: Part = {
    "name": "tail",
    "in": "path",
    "required": True,
    "description": "Names the channel where the body cannot (generic, Telegram); ignored elsewhere",
    "schema": {"type": "string"},
}


def _path(gateway: Gateway, parameters: list[Part]) -> Part:
    suffix = "ForChannel" if parameters else ""
    path: Part = {"parameters": parameters, "post": _delivery(gateway, suffix)}
    return path | {"get": _handshake(gateway, suffix)} if gateway.handshake else path


def _delivery(gateway: Gateway, suffix: str) -> Part:
    media_type, body = BODIES.get(gateway.name, (JSON, {"type": "object"}))
    return {
        "tags": ["webhooks"],
        "summary": f"Receive what {gateway.name} sends",
        "operationId": f"{gateway.name}{suffix}",
        "security": _security(gateway.name),
        "requestBody": {"required": True, "content": {media_type: {"schema": body}}},
        "responses": {"200": _taken(gateway), **_refusals(gateway)},
    }


def _security(name: str) -> list[Part]:
    way = WAYS.get(name, Way())
    anywhere = () if way.signed else ("bearer", "tokenInQuery")
    return [{scheme: []} for scheme in (*anywhere, *way.schemes)]


def _taken(gateway: Gateway) -> Part:
    description = "Stored in Redis, or authentic and of no interest"
    if gateway.accepted is None:
        return _answer(description, "Counts")
    return {"description": description, "content": {gateway.accepted.content_type: {"schema": {"type": "string"}}}}


def _refusals(gateway: Gateway) -> Part:
    not_stored = _answer("Not stored: send the same again", "Error")
    not_stored["headers"] = _header("Retry-After", "Seconds until it is worth trying", {"type": "integer"})
    return {
        "400": _answer(f"The body is not what {gateway.name} sends", "Error"),
        "401": _answer("The token or signature is wrong or missing", "Error"),
        "413": _answer("The body is larger than WEBHOOK_MAX_BODY", "Error"),
        str(gateway.retry_status): not_stored,
        **_CLOSED,
    }


def _handshake(gateway: Gateway, suffix: str) -> Part:
    """Meta's: the only gateway that asks before it sends."""
    return {
        "tags": ["webhooks"],
        "summary": "Answer the question that comes before the first delivery",
        "operationId": f"{gateway.name}Handshake{suffix}",
        "parameters": [
            _query("hub.mode", "Always `subscribe`", {"const": "subscribe"}),
            _query("hub.verify_token", "META_VERIFY_TOKEN", {"type": "string"}),
            _query("hub.challenge", "Comes back as the answer", {"type": "string"}, require=False),
        ],
        "responses": {
            "200": {"description": "The challenge", "content": {"text/plain": {"schema": {"type": "string"}}}},
            "403": _answer("The verify token is not the one configured here", "Error"),
            "413": _answer("The body is larger than WEBHOOK_MAX_BODY", "Error"),
            **_CLOSED,
        },
    }


def _query(name: str, description: str, schema: Part, *, require: bool = True) -> Part:
    return {"name": name, "in": "query", "required": require, "description": description, "schema": schema}


def _header(name: str, description: str, schema: Part) -> Part:
    return {name: {"required": True, "description": description, "schema": schema}}


def _answer(description: str, schema: str) -> Part:
    return {"description": description, "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}}


_CLOSED = {
    "404": _answer("No secret of this gateway is configured, so it is closed", "Error"),
    "405": _answer("Neither a delivery nor a question", "Error")
    | {"headers": _header("Allow", "What may be asked here", {"type": "string"})},
}
