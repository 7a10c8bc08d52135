"""Random histories on a real server: whatever happens, in whatever order, the invariants (docs/invariants.md) hold.

PROPERTY_EXAMPLES=5000 (and PROPERTY_STEPS) make a long run with new histories each time.
"""

from __future__ import annotations

import pytest
import redis

from tests.property.actions import REPLY_ACTIONS, RESTART_ACTIONS, RESTART_REPLY_ACTIONS, WORLD_ACTIONS
from tests.property.redis_system import System
from tests.property.reply_scenes import ReplyScenes
from tests.property.restart_actions import RestartActions, RestartReplies
from tests.property.small_slabs import small_slabs
from tests.property.state_machine import run_random_histories
from tests.property.walk_settings import FIRST, settings_for, with_restarts
from tests.property.world_scenes import WorldScenes


@pytest.mark.parametrize("enabled", [True, False], ids=["buffered", "every-message-alone"])
def test_no_history_breaks_the_invariants(client: redis.Redis, enabled: bool):
    """No strand, one fate, one lease, same id same bytes, order, no early flush, and everything drains."""
    system = System(client, settings_for("machine", enabled=enabled, first=FIRST))
    run_random_histories(lambda: WorldScenes(system), WORLD_ACTIONS, share=1 if enabled else 4)


def test_no_history_with_many_ids_breaks_the_invariants(client: redis.Redis):
    """The same holds when the ids of a conversation lie in slabs."""
    system = System(client, settings_for("slabs"), small_slabs())
    run_random_histories(lambda: WorldScenes(system), WORLD_ACTIONS, share=2)


@pytest.mark.parametrize("in_doubt", ["hold", "resend"])
def test_no_history_sends_a_part_twice_or_loses_one(client: redis.Redis, in_doubt: str):
    """Parts leave once and in order, none after a takeover, and each is sent, in doubt, dead or recorded."""
    system = System(client, settings_for("replies").model_copy(update={"reply_in_doubt": in_doubt}))
    run_random_histories(lambda: ReplyScenes(system), REPLY_ACTIONS, share=1 if in_doubt == "hold" else 4)


def test_no_history_loses_a_message_on_the_way_back(client: redis.Redis):
    """All of it holds when messages take back the batch before them, on some routes: nothing is lost or told twice."""
    system = System(client, with_restarts(settings_for("restarts", first=FIRST)))
    run_random_histories(lambda: RestartActions(system), RESTART_ACTIONS, share=2)


@pytest.mark.parametrize("in_doubt", ["hold", "resend"])
def test_no_history_sends_an_answer_that_was_taken_back(client: redis.Redis, in_doubt: str):
    """A batch that is taken back has no part that was begun, and none of its answer is sent afterwards."""
    settings = with_restarts(settings_for("restarts")).model_copy(update={"reply_in_doubt": in_doubt})
    run_random_histories(
        lambda: RestartReplies(System(client, settings)), RESTART_REPLY_ACTIONS, share=2 if in_doubt == "hold" else 4
    )
