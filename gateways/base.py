"""The types that every gateway shares: the request it reads, and the `Gateway` record that describes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from buffer.models import Event
from buffer.models import Ignored as Ignored
from config.settings import Settings
from gateways.sending import Sender

OpenAPIObject = dict[str, Any]
"""A part of an OpenAPI document."""


class BadRequest(Exception):
    """The body does not have the form that the gateway sends. The message names the error."""


class HeaderMapping(Protocol):
    """Header fields by their names in lower case."""

    def get(self, name: str, default: str, /) -> str:
        """Return one header field, or `default` if it is absent."""


class Headers:
    """Header fields as bytes, decoded on access: a gateway reads one or two of many."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[bytes, bytes]) -> None:
        self._fields = fields

    def get(self, name: str, default: str, /) -> str:
        """Return one header field, or `default` if it is absent."""
        value = self._fields.get(name.encode())
        return default if value is None else value.decode("latin-1")


@dataclass(slots=True)
class Request:
    """One webhook request. `tail` is the part of the path after the gateway's name.

    `path` and `query_string` are not decoded, because Twilio signs the address. `is_authentic`: its head decided so.
    """

    headers: HeaderMapping
    query: Mapping[str, str]
    tail: str
    body: bytes
    path: str = ""
    query_string: str = ""
    is_authentic: bool = False


class HTTPReply(NamedTuple):
    """A complete HTTP reply in the form that a gateway wants."""

    status: int
    content_type: str
    body: bytes


class BodySchema(NamedTuple):
    """The media type and the JSON schema of a request body, for OpenAPI."""

    media_type: str
    schema: OpenAPIObject


JSON_OBJECT = BodySchema("application/json", {"type": "object"})
"""The schema of most gateways: `parse` accepts any JSON object and reads its fields loosely."""


class Verification(NamedTuple):
    """The GET request with which a gateway verifies the address before its first delivery."""

    reply: Callable[[Request, Settings], HTTPReply]
    query_parameters: Sequence[OpenAPIObject]


@dataclass(slots=True, frozen=True)
class Gateway:
    """Everything that the service knows about one messaging gateway. All functions are pure."""

    name: str

    is_open: Callable[[Settings], bool]
    """Returns True if a secret of the gateway is configured."""

    verify: Callable[[Request, Settings], bool]
    """Returns True if the request carries a valid token or signature, compared in constant time."""

    parse: Callable[[Request], Sequence[Event]]
    """Returns the messages and events of the body in their order, and why a part of it is none. Raises BadRequest."""

    security_schemes: Mapping[str, OpenAPIObject]
    """The OpenAPI security schemes that `verify` accepts, by name. Any one of them is enough."""

    auth_hint: str
    """The line below the gateway's URL in the banner of `debouncer up`: how the secret gets into its requests."""

    body_schema: BodySchema = JSON_OBJECT

    retry_status: int = 503
    """The HTTP status that makes the gateway send the same request again."""

    success_reply: HTTPReply | None = None
    """The reply to a request that was accepted. None for the JSON counts."""

    configured: Callable[[Settings], Callable[[Request], Sequence[Event]]] | None = None
    """Returns `parse` as the settings want it. None for a gateway whose `parse` needs no setting."""
    verify_head: Callable[[Request, Settings], bool | None] | None = None
    """Returns what `verify` will if headers and query decide it, and None if the body does. None if they never do."""

    verification: Verification | None = None
    """None for a gateway that sends no GET request."""

    sender: Sender | None = None
    """How the gateway sends replies. None for a gateway that cannot."""
