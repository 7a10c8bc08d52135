"""Actions as the rules of a hypothesis state machine; the long run is set by PROPERTY_EXAMPLES and PROPERTY_STEPS."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.property.actions import Action, Actions, Walkable, act

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
    """The actions of a world as rules; each is followed by the check of everything."""

    def __init__(self, make_world: Callable[[], Walkable]) -> None:
        super().__init__()
        self.world = make_world()
        self.sound = True

    def teardown(self) -> None:
        """Heal everything and run one worker: whatever was accepted is delivered."""
        if self.sound:
            self.world.drain()


def as_rule(name: str, action: Action) -> Callable[..., None]:
    """The hypothesis rule for an action."""

    def step(self: Machine, **choices: object) -> None:
        self.sound = False
        act(self.world, name, choices)
        self.sound = True

    step.__name__ = name
    strategies: dict[str, Any] = {key: st.sampled_from(values) for key, values in action.choices.items()}
    return rule(**strategies)(step)


def run_random_histories(make_world: Callable[[], Walkable], actions: Actions, *, share: int = 1) -> None:
    """Random histories of a world; one of `share` parts of the usual number."""
    rules = {name: as_rule(name, action) for name, action in actions.items()}
    machine: Any = partial(type("Machine", (Machine,), rules), make_world)
    run_state_machine_as_test(machine, settings=settings(PROFILE, max_examples=PROFILE.max_examples // share))
