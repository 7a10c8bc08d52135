"""Are the random histories worth anything? Every bug that is seeded must be noticed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from buffer import scripts
from buffer.scripts import Script
from tests.property.actions import (
    CROWD_ACTIONS,
    REPLY_ACTIONS,
    RESTART_ACTIONS,
    RESTART_CROWD_ACTIONS,
    RESTART_REPLY_ACTIONS,
    TYPING_ACTIONS,
    WORLD_ACTIONS,
    walk,
)
from tests.property.counter_mutants import COUNTER_MUTANTS
from tests.property.mutants import MUTANTS, PEOPLE_MUTANTS
from tests.property.people_scenes import PeopleScenes
from tests.property.redis_system import System
from tests.property.reply_mutants import REPLY_MUTANTS
from tests.property.reply_scenes import ReplyScenes
from tests.property.restart_actions import RestartActions, RestartReplies
from tests.property.restart_mutants import RESTART_MUTANTS, RESTART_PEOPLE_MUTANTS, RESTART_REPLY_MUTANTS
from tests.property.restart_people import RestartPeople
from tests.property.seeded_bug import Mutant, loader
from tests.property.small_slabs import small_slabs
from tests.property.typing_mutants import TYPING_MUTANTS
from tests.property.walk_settings import FIRST, MAX_AGE_S, settings_for, with_restarts
from tests.property.world_scenes import WorldScenes

SOUND_SEEDS = 20
"""How many walks of each kind are taken without a bug."""

SEEDS = 100
"""How many walks may be needed until one notices a bug. Most need one or two."""

STEPS = 200
SCENES = 150
"""The steps of a walk in which many are scenes of several actions."""


Load = Callable[[str], Script]


def every_other(seed: int, load: Load) -> Load:
    """Return the loader, and for every other seed one with small slabs."""
    return small_slabs(load) if seed % 2 else load


def walk_world(client: redis.Redis, seed: int, load: Load = scripts.script) -> None:
    """A walk beside the exact model."""
    system = System(client, settings_for("walk", first=FIRST), every_other(seed, load))
    walk(WorldScenes(system), WORLD_ACTIONS, seed, SCENES)


def walk_crowd(client: redis.Redis, seed: int, load: Load = scripts.script) -> None:
    """A walk of people with several names."""
    system = System(client, settings_for("walk", max_age_s=MAX_AGE_S), every_other(seed, load))
    walk(PeopleScenes(system), CROWD_ACTIONS, seed, SCENES)


def walk_typing(client: redis.Redis, seed: int, load: Load = scripts.script) -> None:
    """A walk of a person whose typing is seen, beside the exact model."""
    walk(WorldScenes(System(client, settings_for("walk", first=FIRST), load)), TYPING_ACTIONS, seed, STEPS)


def walk_replies(client: redis.Redis, seed: int, load: Load = scripts.script) -> None:
    """A walk of workers that send the parts of answers."""
    walk(ReplyScenes(System(client, settings_for("walk"), load)), REPLY_ACTIONS, seed, SCENES)


def walk_restarts(client: redis.Redis, seed: int, load: Load = scripts.script) -> None:
    """A walk beside the exact model, of people who go on writing."""
    settings = with_restarts(settings_for("walk", first=FIRST))
    walk(RestartActions(System(client, settings, load)), RESTART_ACTIONS, seed, SCENES)


def walk_restarted_replies(client: redis.Redis, seed: int, load: Load = scripts.script) -> None:
    """A walk of workers that send the parts of answers to people who go on writing."""
    settings = with_restarts(settings_for("walk")).model_copy(update={"reply_in_doubt": ("hold", "resend")[seed % 2]})
    walk(RestartReplies(System(client, settings, load)), RESTART_REPLY_ACTIONS, seed, SCENES)


def walk_restarted_people(client: redis.Redis, seed: int, load: Load = scripts.script) -> None:
    """A walk of people with several names who go on writing."""
    settings = with_restarts(settings_for("walk"))
    walk(RestartPeople(System(client, settings, load)), RESTART_CROWD_ACTIONS, seed, SCENES)


WALKS = {
    walk_replies: REPLY_MUTANTS,
    walk_world: [*MUTANTS, *COUNTER_MUTANTS],
    walk_typing: TYPING_MUTANTS,
    walk_crowd: PEOPLE_MUTANTS,
    walk_restarts: RESTART_MUTANTS,
    walk_restarted_replies: RESTART_REPLY_MUTANTS,
    walk_restarted_people: RESTART_PEOPLE_MUTANTS,
}
SOUND = [(take, seed) for take in WALKS for seed in range(SOUND_SEEDS)]
SEEDED = [(take, mutant) for take, mutants in WALKS.items() for mutant in mutants]


def label(value: object) -> str | None:
    """The bug, as a test's name."""
    return value.bug.replace(" ", "-") if isinstance(value, Mutant) else None


@pytest.mark.parametrize(("take", "seed"), SOUND)
def test_walk_without_a_bug(client: redis.Redis, take, seed: int):
    """The walks that must fail with a bug pass without one."""
    take(client, seed)


@pytest.mark.parametrize(("take", "mutant"), SEEDED, ids=label)
def test_bug_is_noticed(client: redis.Redis, take, mutant: Mutant):
    """A seeded bug is noticed by one of the walks."""
    load = loader(mutant)
    for seed in range(SEEDS):
        try:
            take(client, seed, load)
        except AssertionError:
            return
    pytest.fail(f"nobody noticed: {mutant.bug}")


@pytest.mark.parametrize("mutant", [mutant for _, mutant in SEEDED], ids=label)
def test_bug_is_where_it_says(mutant: Mutant):
    """A mutant changes the scripts of its own file, or those that include it."""
    changed = {verb for verb in scripts.VERBS if loader(mutant)(verb).source != scripts.script(verb).source}
    assert changed == {mutant.file} or (mutant.file.startswith("include/") and changed)
