"""Random histories on a real server: whatever happens, in whatever order, the invariants of the design hold.

PROPERTY_EXAMPLES=5000 (and PROPERTY_STEPS) make a long run with new histories each time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.property.actions import ACTIONS, act
from tests.property.setting import settings_for
from tests.property.system import System
from tests.property.world import World

LONG = "PROPERTY_EXAMPLES" in os.environ
PROFILE = settings(
    max_examples=int(os.environ.get("PROPERTY_EXAMPLES", "120")),
    stateful_step_count=int(os.environ.get("PROPERTY_STEPS", "60")),
    derandomize=not LONG,
    database=None,
    deadline=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


class Machine(RuleBasedStateMachine):
    """The actions of the world as rules; each is followed by the check of everything."""

    def __init__(self, system: System) -> None:
        super().__init__()
        self.world = World(system)
        self.sound = True

    def teardown(self) -> None:
        """Heal everything and run one worker: whatever was accepted is delivered."""
        if self.sound:
            self.world.drain()


def as_rule(name: str) -> Callable[..., None]:
    """The hypothesis rule for an action."""

    def step(self: Machine, **choices: object) -> None:
        self.sound = False
        act(self.world, name, choices)
        self.sound = True

    step.__name__ = name
    strategies: dict[str, Any] = {key: st.sampled_from(values) for key, values in ACTIONS[name].choices.items()}
    return rule(**strategies)(step)


for action in ACTIONS:
    setattr(Machine, action, as_rule(action))


@pytest.mark.parametrize("enabled", [True, False], ids=["buffered", "every-message-alone"])
def test_no_history_breaks_the_invariants(client: redis.Redis, enabled: bool):
    """No strand, one fate, one lease, same id same bytes, order, no early flush, and everything drains."""
    machine: Any = partial(Machine, System(client, settings_for("machine", enabled=enabled)))
    fewer = settings(PROFILE, max_examples=PROFILE.max_examples // 4)
    run_state_machine_as_test(machine, settings=PROFILE if enabled else fewer)
