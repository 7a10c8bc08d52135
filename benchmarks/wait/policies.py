"""The policies that are compared: those of the table, and the families of which curves are drawn."""

from __future__ import annotations

from typing import NamedTuple

from buffer.window_policy import AutoPolicy

MAX_WAIT_MS = 60_000
HOLD_MS = 12_000
RESTARTS_MAX = 2
AGENT_MS = 4_000
WINDOW_MS = 8_000
TYPING_MS = 3_000
"""MESSAGE_BUFFER_MAX_WAIT, TYPING_HOLD, RESTARTS_MAX; how long the agent takes where a policy does not say it;
MESSAGE_BUFFER_TIMEOUT, and MESSAGE_BUFFER_TIMEOUT_TYPING as docs/the-wait.md advises it."""

AUTO = AutoPolicy(min_ms=2_000, max_ms=15_000, split_target=0.15)
"""AUTO_MIN, AUTO_MAX and AUTO_SPLIT_TARGET."""


class Policy(NamedTuple):
    """What is switched on. Without `auto` the window is fixed.

    `visible` is the share of the messages whose typing is seen. An agent takes `agent_ms` for each call.
    """

    name: str
    window_ms: int = WINDOW_MS
    auto: AutoPolicy | None = None
    has_contacts: bool = False
    visible: float = 0.0
    typing_ms: int | None = None
    restarts_max: int = 0
    agent_ms: int = AGENT_MS


def restarting(policy: Policy, agent_ms: int = AGENT_MS) -> Policy:
    """Return a policy that takes batches back, with an agent of that speed."""
    auto = policy.auto and policy.auto._replace(take_back_ms=agent_ms)
    return policy._replace(restarts_max=RESTARTS_MAX, agent_ms=agent_ms, auto=auto)


BASELINE = Policy("fixed 8 s")
CONTACTS = Policy("auto: channel and contact", auto=AUTO, has_contacts=True)
ALL = restarting(CONTACTS._replace(typing_ms=TYPING_MS))
EVERYTHING = (
    ALL._replace(name="all together, no typing seen"),
    ALL._replace(name="all together, 70 % of typing seen", visible=0.7),
    ALL._replace(name="all together, all typing seen", visible=1.0),
)
TABLE = (
    Policy("fixed 3 s", 3_000),
    Policy("fixed 5 s", 5_000),
    BASELINE,
    Policy("fixed 12 s", 12_000),
    Policy("auto: channel", auto=AUTO),
    CONTACTS,
    Policy("held while typing (all seen), window 8 s", visible=1.0),
    Policy("held while typing (70 % seen), window 8 s", visible=0.7),
    Policy("held while typing (all seen), 3 s where seen", visible=1.0, typing_ms=TYPING_MS),
    Policy("held while typing (70 % seen), 3 s where seen", visible=0.7, typing_ms=TYPING_MS),
    *(
        restarting(Policy(f"restart, agent {agent_ms // 1000} s, window {window_ms // 1000} s", window_ms), agent_ms)
        for agent_ms in (2_000, 4_000, 8_000)
        for window_ms in (8_000, 4_000)
    ),
    *EVERYTHING,
)
"""The rows of the table, in their order."""

WINDOWS_S = (2, 3, 4, 5, 6, 8, 10, 12, 15)
TARGETS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)


def _fixed(policy: Policy) -> tuple[Policy, ...]:
    return tuple(policy._replace(name=f"window {one} s", window_ms=one * 1000) for one in WINDOWS_S)


def _targets(policy: Policy) -> tuple[Policy, ...]:
    auto = policy.auto or AUTO
    return tuple(policy._replace(name=f"target {one:g}", auto=auto._replace(split_target=one)) for one in TARGETS)


FAMILIES: dict[str, tuple[Policy, ...]] = {
    "fixed window": _fixed(BASELINE),
    "auto: channel": _targets(CONTACTS._replace(has_contacts=False)),
    "auto: channel and contact": _targets(CONTACTS),
    "held while typing, 70 % seen": _fixed(BASELINE._replace(visible=0.7)),
    "held while typing, all seen": _fixed(BASELINE._replace(visible=1.0)),
    **{f"restart, agent {one} s": _fixed(restarting(BASELINE, one * 1000)) for one in (2, 4, 8)},
    **{policy.name: _targets(policy) for policy in EVERYTHING},
}
"""Policies that differ in one number. `restart` answers later by what its agent takes: compare those with one agent."""
