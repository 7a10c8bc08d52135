"""What the person sees while the agent thinks, and that nothing of it can fail a flush."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateways.sending import ReplyTo, Sender, Target
from tests.servers import free_port
from tests.unit.reply_doubles import SECRET, SENDER, WHO, Gateway, open_gateway, request
from tests.unit.test_worker_leases import until
from worker.reply_client import Limits, ReplyClient
from worker.typing_indicator import TypingIndicator

TO = ReplyTo(WHO, {"message_id": "m1"})
SHORT = Limits(wait_s=0.5, connect_s=0.5, write_s=0.1, read_s=0.1)


class Screen:
    """The indicator and a gateway that shows it."""

    def __init__(self, gateway: Gateway, indicator: TypingIndicator, make_settings: Any) -> None:
        self.gateway = gateway
        self.indicator = indicator
        self.url = gateway.url
        self.sender: Sender = SENDER
        self._settings = make_settings

    async def think(self, enough: Any, **settings: object) -> None:
        """Think until the condition holds."""
        target = Target(self.url, SECRET)
        with self.indicator.while_thinking(self._settings(**settings), self.sender, target, TO):
            await until("enough", enough)


@pytest.fixture
async def screen(make_settings: Any) -> AsyncIterator[Screen]:
    indicator = TypingIndicator(ReplyClient(SHORT))
    async with open_gateway() as gateway:
        yield Screen(gateway, indicator, make_settings)
    await indicator.close()


async def test_it_is_renewed_and_ends_with_the_call(screen: Screen):
    """As often as it lasts, and never after the agent has answered."""
    paths = screen.gateway.paths
    await screen.think(lambda: len(paths) >= 3)
    await asyncio.sleep(0)
    shown = len(paths)
    await asyncio.sleep(0.05)
    assert set(paths) == {"/typing"}
    assert len(paths) <= shown + 1
    assert screen.indicator.failures == 0


async def test_one_that_lasts_is_shown_once(screen: Screen):
    """A gateway that shows it until the reply is asked once."""
    screen.sender = replace(SENDER, typing_lasts_s=0.0)
    await screen.think(lambda: not screen.indicator._tasks)
    assert screen.gateway.paths == ["/typing"]


async def test_one_that_stays_on_is_ended(screen: Screen):
    """Chatwoot's indicator stays until it is switched off, also if the agent has nothing to say."""
    screen.sender = replace(SENDER, typing_lasts_s=0.0, stop_typing=request("/stop"))
    await screen.think(lambda: screen.gateway.paths)
    await until("it is ended", lambda: not screen.indicator._tasks)
    assert screen.gateway.paths == ["/typing", "/stop"]


async def test_one_that_is_renewed_is_ended(screen: Screen):
    """WAHA's indicator lasts longer than the time after which it is renewed."""
    screen.sender = replace(SENDER, stop_typing=request("/stop"))
    await screen.think(lambda: len(screen.gateway.paths) >= 2)
    await until("it is ended", lambda: not screen.indicator._tasks)
    assert set(screen.gateway.paths[:-1]) == {"/typing"}
    assert screen.gateway.paths[-1] == "/stop"


async def test_one_that_was_refused_is_not_ended(screen: Screen):
    """Chatwoot refuses typing to bots: one refusal for each flush is enough."""
    screen.gateway.answers.append((401, {}))
    screen.sender = replace(SENDER, typing_lasts_s=0.0, stop_typing=request("/stop"))
    await screen.think(lambda: not screen.indicator._tasks)
    assert screen.gateway.paths == ["/typing"]


async def test_hide_ends_it_where_it_does_not_end_by_itself(screen: Screen, make_settings: Any):
    """After the last of the parts that waited for their pace."""
    target = Target(screen.url, SECRET)
    screen.indicator.hide(make_settings(), SENDER, target, TO)
    screen.indicator.hide(
        make_settings(typing_indicator=False), replace(SENDER, stop_typing=request("/no")), target, TO
    )
    screen.indicator.hide(make_settings(), replace(SENDER, stop_typing=request("/stop")), target, TO)
    await until("it is ended", lambda: not screen.indicator._tasks)
    assert screen.gateway.paths == ["/stop"]


async def test_the_read_receipt_comes_first(screen: Screen):
    """REPLY_MARK_READ: seen, then typing, as people do."""
    screen.sender = replace(SENDER, typing_lasts_s=0.0)
    await screen.think(lambda: not screen.indicator._tasks, reply_mark_read=True)
    assert screen.gateway.paths == ["/read", "/typing"]


async def test_a_read_receipt_alone(screen: Screen):
    """TYPING_INDICATOR=false shows no typing."""
    await screen.think(lambda: not screen.indicator._tasks, reply_mark_read=True, typing_indicator=False)
    assert screen.gateway.paths == ["/read"]


async def test_failures_are_counted_and_told_once(screen: Screen):
    """An error of the gateway is one quiet line, and the next renewal is made all the same."""
    screen.gateway.answers.append((401, {}))
    with capture_logs() as lines:
        await screen.think(lambda: screen.indicator.failures >= 3)
    assert [(line["log_level"], line["event"]) for line in lines] == [("info", "typing indicator not shown")]


async def test_a_gateway_that_answers_late_has_shown_it(screen: Screen):
    """Evolution answers when the indicator has ended: nobody waits for that, and it is no failure."""
    screen.gateway.answers.append(None)
    screen.sender = replace(SENDER, typing_lasts_s=0.0)
    await screen.think(lambda: not screen.indicator._tasks)
    assert screen.indicator.failures == 0
    assert screen.gateway.paths == ["/typing"]


async def test_no_connection_and_a_sender_that_breaks(screen: Screen):
    """Nothing is raised."""

    def broken(*_: object) -> Any:
        raise KeyError("thread")

    screen.url = f"http://127.0.0.1:{free_port()}"
    screen.sender = replace(SENDER, typing_lasts_s=0.0)
    await screen.think(lambda: not screen.indicator._tasks)
    screen.sender = replace(SENDER, typing_lasts_s=0.0, typing=broken)
    await screen.think(lambda: not screen.indicator._tasks)
    assert screen.indicator.failures == 2


async def test_nothing_to_show_for_this_message(screen: Screen):
    """A sender may have no indicator for a conversation."""
    screen.sender = replace(SENDER, typing_lasts_s=0.0, typing=lambda target, to: None)
    await screen.think(lambda: not screen.indicator._tasks)
    assert screen.indicator.failures == 0


async def test_an_error_of_the_call_passes(screen: Screen, make_settings):
    """The indicator ends with the call, whatever ended that."""
    showing = screen.indicator.while_thinking(make_settings(), SENDER, Target(screen.url, SECRET), TO)
    with pytest.raises(KeyError), showing:
        raise KeyError
    await asyncio.sleep(0.01)
    assert not screen.indicator._tasks
