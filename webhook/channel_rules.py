"""What the webhook needs of the route of a channel: which of its messages it takes, and the rules of their appends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from buffer.auto_windows import policy_of
from buffer.models import Append, Conversation, DeliveryStatus, Event, Ignored, Message
from buffer.rules import append_rules
from buffer.stored_message import encode_message
from config.routes import Route, Routes
from config.settings import Settings
from webhook.windows import ChannelWindows

ROUTE_DISABLED = "route_disabled"
"""Why a message or event of a channel is ignored whose route has `enabled = false`."""


class ChannelRules:
    """The rules of one route."""

    __slots__ = (
        "_groups",
        "_inline_max",
        "_keywords",
        "_policy",
        "_reactions",
        "_windows",
        "append",
        "enabled",
        "settings",
    )

    def __init__(self, route: Route, base: Settings, windows: ChannelWindows) -> None:
        settings = self.settings = route.settings
        self.append = append_rules(settings, base)
        self.enabled = route.enabled
        self._keywords = settings.message_buffer_flush_keywords
        self._inline_max = settings.media_inline_max
        self._groups = settings.groups_enabled
        self._reactions = settings.reactions_enabled
        self._windows = windows
        self._policy = policy_of(settings) if settings.is_auto else None

    def encode(self, message: Message, nonce: bytes, trace: str | None) -> Append:
        """Encode a message for the append, with the trace context of its request."""
        append = encode_message(message, nonce, self._keywords, self._inline_max, trace)
        if self._policy is None:
            return append
        return append._replace(window=self._windows.of(message.conversation, self._policy))

    def is_wanted(self, message: Message) -> bool:
        """Return False for messages that we sent, and for groups and reactions unless the route enables them."""
        return not (
            message.from_me
            or (message.is_group and not self._groups)
            or (message.kind == "reaction" and not self._reactions)
            or not self.enabled
        )

    def ignored_reason(self, message: Message) -> str:
        """Return why a message is not wanted."""
        if not self.enabled:
            return ROUTE_DISABLED
        if message.from_me:
            return "own"
        return "group" if message.is_group and not self._groups else "reaction"


class LeftOutPart(NamedTuple):
    """A part of a body that calls nobody: the reason, and the shape of an event of no known form."""

    reason: str
    shape: str | None = None


class RuleBook:
    """The rules of all channels, made anew after a reload. `only` has those of a process without a routes file."""

    def __init__(self, routes: Routes, windows: ChannelWindows) -> None:
        self._routes = routes
        self._windows = windows
        self._read()

    def of(self, conversation: Conversation) -> ChannelRules:
        """Return the rules of a conversation's channel."""
        if self.only is not None:
            return self.only
        if self._version != self._routes.version:
            self._read()
        return self._by_channel.get(conversation[:2], self._default)

    def left_out(self, events: Iterable[Event]) -> Iterator[LeftOutPart]:
        """Yield the events that are ignored, the delivery statuses, and the messages that are not wanted."""
        for event in events:
            if isinstance(event, Ignored):
                yield LeftOutPart(event.reason, event.shape)
            elif isinstance(event, DeliveryStatus):
                yield LeftOutPart("unknown_event")
            elif isinstance(event, Message) and not (rules := self.of(event.conversation)).is_wanted(event):
                yield LeftOutPart(rules.ignored_reason(event))

    def groups(self, messages: Iterable[Message]) -> list[tuple[ChannelRules, list[Message]]]:
        """Return the messages by their rules. Those of one conversation stay in order."""
        found: dict[ChannelRules, list[Message]] = {}
        for message in messages:
            found.setdefault(self.of(message.conversation), []).append(message)
        return list(found.items())

    def _read(self) -> None:
        routes, windows = self._routes, self._windows
        self._version = routes.version
        self._default = ChannelRules(routes.default, routes.base, windows)
        self._by_channel = {one: ChannelRules(route, routes.base, windows) for one, route in routes.channels.items()}
        self.only = self._default if routes.only is not None else None
