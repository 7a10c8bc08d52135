"""Messages from our own number, and reports on them: a part of ours comes back, or a human of ours has answered."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import cast

from buffer.models import DeliveryStatus, Message
from buffer.prints import print_of
from buffer.reply_models import OwnAction, OwnMessage, OwnMessageResult, Status
from buffer.reply_store import Replies
from config.keywords import can_be_keyword, keyword_key
from config.logs import get_logger, mask
from config.settings import Settings
from gateways.targets import target_of

TAKEOVER_AGE_MAX_MS = 120_000
"""A human's message that is older than this takes nothing over: gateways deliver old ones after a reconnect."""

TOLD: dict[OwnMessageResult, str] = {
    "human": "🙋 a human has answered {who}; the bot is silent there for {pause:g} s (TAKEOVER_PAUSE)",
    "taken": "🙋 a keyword has taken the conversation with {who}; the bot is silent there for {pause:g} s "
    "(TAKEOVER_PAUSE)",
    "resumed": "🤖 a keyword has given the conversation with {who} back to the bot",
}
"""The log line of each result that changes the conversation."""

log = get_logger()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class OwnMessages:
    """Passes messages from our own number, and reports on them, to the store. `clock` returns ms since 1970."""

    def __init__(self, replies: Replies, clock: Callable[[], int] = _now_ms) -> None:
        self._replies = replies
        self._clock = clock

    async def note(self, message: Message, settings: Settings) -> OwnMessageResult:
        """Find out whether a message is a part of ours. If it is a human's word, the conversation is paused.

        `settings` are those of the route. Raises StoreUnavailable, StoreFull or StoreError.
        """
        if message.is_group and not settings.groups_enabled:
            return "foreign"
        is_human = self._is_human(message, settings)
        own = OwnMessage(
            message.conversation,
            message.dedupe_id or message.message_id,
            message.extra.get("own_mark"),
            print_of(message.text),
            _action_of(message, settings),
            settings.takeover_ms,
            settings.takeover_ms if is_human else 0,
        )
        result = await self._replies.own_message(own)
        if result in TOLD:
            gateway, channel, peer = message.conversation
            line = TOLD[result].format(who=mask(peer), pause=settings.takeover_pause)
            log.info(line, gateway=gateway, channel=channel)
        return result

    async def report(self, status: DeliveryStatus, settings: Settings) -> bool:
        """Note what a gateway says of a message that was sent. Return True if it was a part of ours."""
        if settings.send_replies == "off" or target_of(settings, status.gateway) is None:
            return False
        found = Status(status.state, status.message_id, status.own_mark, status.reason)
        part = await self._replies.part_status(status.gateway, status.channel, found)
        if part is not None and status.state == "failed":
            log.warning(
                f"{status.gateway}: a reply was taken and has not reached the person ({status.reason or 'no reason'})",
                channel=status.channel,
                part=part,
            )
        return part is not None

    def _is_human(self, message: Message, settings: Settings) -> bool:
        """Return True for a message that a human typed just now, as TAKEOVER_FROM wants it."""
        if settings.takeover_from == "off" or message.kind == "reaction":
            return False
        if message.extra.get("via_api") and settings.takeover_from != "any":
            return False
        return message.timestamp_ms is None or self._clock() - message.timestamp_ms <= TAKEOVER_AGE_MAX_MS


def _action_of(message: Message, settings: Settings) -> OwnAction:
    """Return what the message asks for if it is one of TAKEOVER_KEYWORDS. A program's message asks for nothing."""
    text = message.text or ""
    if not text or message.extra.get("via_api") or not can_be_keyword(text):
        return ""
    return cast(OwnAction, settings.takeover_actions.get(keyword_key(text), ""))
