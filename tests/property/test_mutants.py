"""Are the random histories worth anything? Every bug that is seeded must be noticed."""

from __future__ import annotations

import pytest
import redis

from buffer import scripts
from tests.property.actions import walk
from tests.property.mutants import MUTANTS, Mutant, loader
from tests.property.setting import settings_for
from tests.property.system import System
from tests.property.world import World

SEEDS = 25
STEPS = 200


@pytest.mark.parametrize("seed", range(SEEDS))
def test_walk_without_a_bug(client: redis.Redis, seed: int):
    """The walks that must fail with a bug pass without one."""
    walk(World(System(client, settings_for("walk"))), seed, STEPS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.bug.replace(" ", "-"))
def test_bug_is_noticed(client: redis.Redis, mutant: Mutant):
    """A seeded bug is noticed by one of the walks."""
    system = System(client, settings_for("walk"), loader(mutant))
    for seed in range(SEEDS):
        try:
            walk(World(system), seed, STEPS)
        except AssertionError:
            return
    pytest.fail(f"nobody noticed: {mutant.bug}")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.bug.replace(" ", "-"))
def test_bug_is_where_it_says(mutant: Mutant):
    """A mutant changes the scripts of its own file, or those that include it."""
    changed = {verb for verb in scripts.VERBS if loader(mutant)(verb).source != scripts.script(verb).source}
    assert changed == {mutant.file} or (mutant.file.startswith("include/") and changed)
