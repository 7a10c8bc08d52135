"""What can happen, with the choices of each action, and how often a random walk takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from tests.property.checks import check
from tests.property.setting import DEDUPE_S, LEASE_S, MAX_WAIT_S, PEOPLE, VISIBILITY_S, WINDOW_S
from tests.property.world import World

ANYBODY = tuple(PEOPLE)
ANY = (0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7)
STEPS_MS = (1, 999, 1_000, *(s * 1_000 for s in (5, VISIBILITY_S, WINDOW_S // 2, WINDOW_S, LEASE_S, MAX_WAIT_S)))
LEAPS_MS = (-1, -1_000, -WINDOW_S * 1_000, -LEASE_S * 1_000, DEDUPE_S * 1_000, DEDUPE_S * 1_000 + 1, 86_400_000)
DELAYS_MS = (0, 1, 5_000, 90_000)


class Action(NamedTuple):
    """An action of the world: its choices, and its weight in a random walk."""

    weight: int
    choices: Mapping[str, Sequence[Any]]


ACTIONS = {
    "say": Action(
        16, {"who": ANYBODY, "count": (1, 1, 2, 3, 6), "shift_ms": (0, 0, -9_000, 7), "keyword": (False,) * 5 + (True,)}
    ),
    "say_all": Action(3, {"shift_ms": (0, 5)}),
    "resend": Action(4, {"index": ANY}),
    "repeat": Action(4, {"index": ANY}),
    "type": Action(3, {"who": ANYBODY}),
    "dispatch": Action(10, {"limit": (0, 1, 2, 10)}),
    "lose_job": Action(2, {"index": ANY}),
    "duplicate_job": Action(2, {"index": ANY}),
    "work": Action(16, {"index": ANY}),
    "claim": Action(5, {"who": ANYBODY}),
    "claim_again": Action(3, {"index": ANY}),
    "renew": Action(4, {"index": ANY}),
    "answer": Action(3, {"index": ANY}),
    "ack": Action(9, {"index": ANY}),
    "fail": Action(6, {"index": ANY, "mode": ("retry", "retry", "dead", "release"), "delay_ms": DELAYS_MS}),
    "die": Action(4, {"index": ANY}),
    "flush_now": Action(2, {"who": ANYBODY}),
    "discard": Action(4, {"who": ANYBODY}),
    "redrive": Action(4, {"index": ANY}),
    "pause": Action(2, {"who": ANYBODY, "pause_ms": (1, 60_000, 400_000), "takeover": (False, True)}),
    "resume": Action(2, {"who": ANYBODY}),
    "pass_time": Action(14, {"ms": STEPS_MS}),
    "pass_time_until_due": Action(14, {"who": ANYBODY}),
    "leap": Action(2, {"ms": LEAPS_MS}),
    "forget_scripts": Action(1, {}),
    "sweep": Action(2, {}),
    "repair": Action(2, {"lose": (False, True)}),
    "lose_wake_until_duplicate": Action(2, {"who": ANYBODY}),
    "save": Action(3, {}),
    "fail_over": Action(2, {}),
}


def act(world: World, name: str, choices: dict[str, Any]) -> None:
    """One action, and the check after it."""
    getattr(world, name)(**choices)
    check(world)


def walk(world: World, seed: int, steps: int) -> None:
    """A random walk that is the same for the same seed; what was accepted is delivered at its end."""
    random = Random(seed)
    names, weights = list(ACTIONS), [action.weight for action in ACTIONS.values()]
    for name in random.choices(names, weights, k=steps):
        act(world, name, {key: random.choice(values) for key, values in ACTIONS[name].choices.items()})
    world.drain()
