"""Random histories on a real server: whatever happens, in whatever order, the invariants (docs/invariants.md) hold.

PROPERTY_EXAMPLES=5000 (and PROPERTY_STEPS) make a long run with new histories each time.
"""

from __future__ import annotations

import pytest
import redis

from tests.property.actions import WORLD_ACTIONS
from tests.property.model_comparison import ModelComparison
from tests.property.redis_system import System
from tests.property.small_slabs import small_slabs
from tests.property.state_machine import run_random_histories
from tests.property.walk_settings import settings_for


@pytest.mark.parametrize("enabled", [True, False], ids=["buffered", "every-message-alone"])
def test_no_history_breaks_the_invariants(client: redis.Redis, enabled: bool):
    """No strand, one fate, one lease, same id same bytes, order, no early flush, and everything drains."""
    system = System(client, settings_for("machine", enabled=enabled))
    run_random_histories(lambda: ModelComparison(system), WORLD_ACTIONS, share=1 if enabled else 4)


def test_no_history_with_many_ids_breaks_the_invariants(client: redis.Redis):
    """The same holds when the ids of a conversation lie in slabs."""
    system = System(client, settings_for("slabs"), small_slabs())
    run_random_histories(lambda: ModelComparison(system), WORLD_ACTIONS, share=2)
