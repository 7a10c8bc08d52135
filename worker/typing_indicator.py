"""Shows the person that we type while the agent thinks, and marks their message as read. Its failures cost nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from config.log_limiter import LogLimiter
from config.logs import get_logger
from config.settings import Settings
from gateways.masking import masked_reason
from gateways.sending import Later, Misconfigured, ReplyTo, Sender, SendRequest, SendResponse, Target
from worker.reply_client import Limits, ReplyClient

LIMITS = Limits(connections=40, per_host=20, wait_s=1.0, connect_s=2.0, write_s=1.0, read_s=2.0)
"""A pool of its own, so that indicators never take a connection from a part.

Evolution answers when the indicator has ended. The worker does not wait for that.
"""

TELL_EVERY_S = 600.0
"""Time between two log lines about failures of one channel."""

Make = Callable[[Target, ReplyTo], SendRequest | None]

log = get_logger()


class TypingIndicator:
    """Shows the indicator, one task for each flush. `failures` counts what did not work since the start."""

    def __init__(self, client: ReplyClient) -> None:
        self.failures = 0
        self._client = client
        self._told: LogLimiter[tuple[str, str]] = LogLimiter(TELL_EVERY_S)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_closed = False

    @contextmanager
    def while_thinking(self, settings: Settings, sender: Sender, target: Target, to: ReplyTo) -> Iterator[None]:
        """Mark the message as read (REPLY_MARK_READ), and show the indicator until the body ends (TYPING_INDICATOR)."""
        task = self._start(self._think(settings, sender, target, to))
        try:
            yield
        finally:
            task.cancel()

    def show_once(self, settings: Settings, sender: Sender, target: Target, to: ReplyTo) -> None:
        """Show the indicator for as long as the gateway does by itself, while a part waits for its pace."""
        if settings.typing_indicator and sender.typing is not None:
            self._start(self._try(sender.typing, target, to))

    def hide(self, settings: Settings, sender: Sender, target: Target, to: ReplyTo) -> None:
        """End what `show_once` has shown, where it does not end by itself."""
        if settings.typing_indicator and sender.stop_typing is not None:
            self._start(self._try(sender.stop_typing, target, to))

    async def close(self) -> None:
        """Stop all indicators."""
        self._is_closed = True
        for task in list(self._tasks):
            task.cancel()
        await self._client.close()

    def _start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _think(self, settings: Settings, sender: Sender, target: Target, to: ReplyTo) -> None:
        if settings.reply_mark_read and sender.read_receipt is not None:
            await self._try(sender.read_receipt, target, to)
        if settings.typing_indicator and sender.typing is not None:
            await self._show(settings, sender, sender.typing, target, to)

    async def _show(self, settings: Settings, sender: Sender, typing: Make, target: Target, to: ReplyTo) -> None:
        """Show the indicator until the task is cancelled, then end it. One that ends with the reply is shown once."""
        is_refused, loop = False, asyncio.get_running_loop()
        try:
            while True:
                shown_at = loop.time()
                is_refused = not await self._try(typing, target, to)
                if sender.typing_lasts_s:
                    await asyncio.sleep(shown_at + sender.typing_lasts_s - loop.time())
                elif is_refused or sender.stop_typing is None:
                    return
                else:
                    await asyncio.Event().wait()
        finally:
            if not is_refused and not self._is_closed:
                self.hide(settings, sender, target, to)

    async def _try(self, make: Make, target: Target, to: ReplyTo) -> bool:
        """Make one request. Return False if it failed. One that has left and gets no answer in time counts as shown."""
        try:
            request = make(target, to)
            response = await self._client.send(request) if request else None
        except Exception as error:
            return self._failed(to, target, repr(error))
        if isinstance(response, SendResponse) and not 200 <= response.status < 300:
            return self._failed(to, target, f"the gateway answered {response.status}")
        if isinstance(response, Later | Misconfigured):
            return self._failed(to, target, response.reason)
        return True

    def _failed(self, to: ReplyTo, target: Target, reason: str) -> bool:
        self.failures += 1
        gateway, channel, _ = to.conversation
        if count := self._told.add((gateway, channel)):
            log.info(
                "typing indicator not shown",
                gateway=gateway,
                channel=channel,
                error=masked_reason(reason, [target.secret, target.account]),
                failures=count,
            )
        return False
