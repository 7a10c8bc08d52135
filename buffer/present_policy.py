"""How long the channels wait now, in words: `auto: 5.2 s`, `fixed 8 s`, `several: 3 to 12 s`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from buffer.auto_windows import Channel, Present
from config.routes import Routes
from config.settings import Settings

ENGLISH = {
    "fixed": "fixed {s}",
    "auto": "auto: {s}",
    "several": "several: {s}",
    "none": "none: each message is a call",
    "range": "{first} to {last} s",
    "typing": "shorter while typing is seen",
    "restart": "restart while answering",
}
"""The words of a policy. `{s}` is its window, or the shortest and the longest."""


class ChannelPolicy(NamedTuple):
    """How long one channel waits: its window in ms, 0 if it has none, and what may change that."""

    window_ms: int
    is_auto: bool = False
    has_typing: bool = False
    has_restart: bool = False


@dataclass(slots=True, frozen=True)
class PresentPolicy:
    """How long all the channels wait: their shortest and their longest window in ms.

    `kind` is `several` if some windows are fixed and differ, or not all are `auto`. What only some channels do counts.
    """

    kind: Literal["none", "fixed", "auto", "several"] = "none"
    shortest_ms: int = 0
    longest_ms: int = 0
    has_typing: bool = False
    has_restart: bool = False

    @property
    def window_s(self) -> float | None:
        """Return the window of all channels in seconds, None if they have several or none."""
        return self.shortest_ms / 1000 if self.shortest_ms and self.shortest_ms == self.longest_ms else None


def present_policy(channels: Iterable[ChannelPolicy]) -> PresentPolicy:
    """Return how long channels wait. Those whose messages are flushed each on its own do not wait."""
    waiting = [one for one in channels if one.window_ms]
    if not waiting:
        return PresentPolicy()
    windows_ms, autos = {one.window_ms for one in waiting}, {one.is_auto for one in waiting}
    kind: Literal["fixed", "auto", "several"] = "several"
    if autos == {True}:
        kind = "auto"
    elif autos == {False} and len(windows_ms) == 1:
        kind = "fixed"
    has_typing, has_restart = any(one.has_typing for one in waiting), any(one.has_restart for one in waiting)
    return PresentPolicy(kind, min(windows_ms), max(windows_ms), has_typing, has_restart)


def policy_text(policy: PresentPolicy, words: Mapping[str, str] = ENGLISH) -> str:
    """Return a policy for people."""
    first, last = (f"{round(one / 1000, 1):g}" for one in (policy.shortest_ms, policy.longest_ms))
    window = f"{first} s" if first == last else words["range"].format(first=first, last=last)
    more = [words["typing"]] * policy.has_typing + [words["restart"]] * policy.has_restart
    return ", ".join([words[policy.kind].format(s=window), *more])


def policies_of(routes: Routes, windows: Mapping[Channel, Present]) -> list[ChannelPolicy]:
    """Return how long each channel waits, by its window now and its settings; without channels the default route."""
    found = [_policy_of(routes.of(*one).settings, present.window_ms) for one, present in windows.items()]
    return found or [_policy_of(routes.default.settings, routes.default.settings.window_ms)]


def _policy_of(settings: Settings, window_ms: int) -> ChannelPolicy:
    has_typing = settings.message_buffer_timeout_typing is not None
    has_restart = settings.message_while_answering == "restart"
    return ChannelPolicy(window_ms if settings.message_buffer_enabled else 0, settings.is_auto, has_typing, has_restart)
