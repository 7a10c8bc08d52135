"""Static tokens and signatures: the comparisons that gateways share, and their OpenAPI security schemes."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from pydantic import SecretStr

from config.settings import Settings
from gateways.base import Gateway, OpenAPIObject, Request

STATIC_TOKEN: dict[str, OpenAPIObject] = {
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
}
"""The security schemes of every gateway whose `verify` calls `token_matches`."""


def header_scheme(name: str, description: str) -> OpenAPIObject:
    """Return the security scheme of a token or signature in a header field."""
    return {"type": "apiKey", "in": "header", "name": name, "description": description}


def secrets_equal(given: str, secret: SecretStr | None) -> bool:
    """Compare a given token with a secret in constant time. Return False if no secret is set.

    Clients write a header beyond ASCII in Latin-1, as it is decoded here, or in UTF-8. Both spellings are compared.
    """
    expected = b"" if secret is None else secret.get_secret_value().encode()
    if not (expected and given):
        return False
    if given.isascii():
        return hmac.compare_digest(given.encode(), expected)
    spellings = (given.encode(), given.encode("latin-1", "replace"))
    # a list, not a generator: `any` must not stop at the first match
    return any([hmac.compare_digest(each, expected) for each in spellings])


def signature_matches(given: str, secret: SecretStr | None, algorithm: str, signed: bytes) -> bool:
    """Return True if `given` is the hexadecimal HMAC of `signed`. Return False if no secret is set."""
    if secret is None:
        return False
    expected = hmac.digest(secret.get_secret_value().encode(), signed, algorithm).hex()
    return hmac.compare_digest(given.encode(), expected.encode())


def token_matches(request: Request, secret: SecretStr | None, *headers: str) -> bool:
    """Return True if the static token is in `Authorization`, in one of the named headers, or in `?token=`.

    Evolution's by-events mode appends `/event-name` to the URL, so the query is also compared without its last part.
    """
    if secrets_equal(bearer_of(request), secret):
        return True
    given = [request.headers.get(name, "") for name in headers]
    if in_query := request.query.get("token", ""):
        given += (in_query, in_query.rpartition("/")[0])
    return any([secrets_equal(candidate, secret) for candidate in given if candidate])


def carries(header: str) -> Callable[[Request, Settings], bool | None]:
    """Return a `verify_head` for gateways that sign the body: False if the header with the signature is not there."""
    return lambda request, _: None if request.headers.get(header, "") else False


def bearer_of(request: Request) -> str:
    """Return the token in `Authorization`, with or without the word Bearer before it. Empty if there is none."""
    value = request.headers.get("authorization", "").strip()
    scheme, space, token = value.partition(" ")
    return token.strip() if space and scheme.lower() == "bearer" else value


def ways_to_authenticate(gateway: Gateway) -> str:
    """Return how a request of this gateway carries its token or signature, as a piece of a sentence."""
    ways = [_way(scheme) for scheme in gateway.security_schemes.values()]
    if len(ways) == 1:
        return f"it comes in {ways[0]} ({gateway.auth_hint})"
    return f"send it as {', '.join(ways[:-1])} or {ways[-1]}"


def _way(scheme: OpenAPIObject) -> str:
    if scheme.get("scheme") == "bearer":
        return "`Authorization: Bearer …`"
    return f"`?{scheme['name']}=…`" if scheme["in"] == "query" else f"the header `{scheme['name']}`"
