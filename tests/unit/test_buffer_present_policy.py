"""How long channels wait, in words."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from buffer.auto_windows import Present
from buffer.present_policy import ChannelPolicy, policies_of, policy_text, present_policy
from config.routes import Routes
from config.settings import Settings

FIXED, LONGER, ALONE = ChannelPolicy(8_000), ChannelPolicy(12_000), ChannelPolicy(0)
AUTO, SHORTER = ChannelPolicy(5_240, is_auto=True), ChannelPolicy(3_100, is_auto=True, has_typing=True)
RESTART = ChannelPolicy(8_000, has_restart=True)


@pytest.mark.parametrize(
    ("channels", "text", "window_s"),
    [
        ([FIXED], "fixed 8 s", 8.0),
        ([FIXED, FIXED, ALONE], "fixed 8 s", 8.0),
        ([FIXED, LONGER], "several: 8 to 12 s", None),
        ([AUTO], "auto: 5.2 s", 5.24),
        ([AUTO, SHORTER], "auto: 3.1 to 5.2 s, shorter while typing is seen", None),
        ([AUTO, LONGER], "several: 5.2 to 12 s", None),
        ([FIXED, RESTART], "fixed 8 s, restart while answering", 8.0),
        ([ALONE], "none: each message is a call", None),
        ([], "none: each message is a call", None),
    ],
)
def test_policies(channels: list[ChannelPolicy], text: str, window_s: float | None):
    """One window is told with its kind, several with the shortest and the longest."""
    found = present_policy(channels)
    assert (policy_text(found), found.window_s) == (text, window_s)


def test_policies_of_channels(make_settings: Callable[..., Settings]):
    """They are made of the windows in force and of the settings; without channels, of those of the default route."""
    settings = make_settings(
        message_buffer_timeout="auto", message_buffer_timeout_typing=3, message_while_answering="restart"
    )
    routes = Routes(settings)
    assert policies_of(routes, {}) == [ChannelPolicy(8_000, True, True, True)]
    found = policies_of(routes, {("waha", "loja"): Present(5_200, "auto_channel")})
    assert found == [ChannelPolicy(5_200, True, True, True)]
    alone = Routes(make_settings(message_buffer_enabled=False))
    assert policies_of(alone, {}) == [ChannelPolicy(0)]
