"""People with several names, edits, deleted messages, media and albums: no random history breaks what must be true.

The long run is set as for test_state_machine.py.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from buffer import scripts
from buffer.scripts import Script
from tests.property.actions import CROWD_ACTIONS, RESTART_CROWD_ACTIONS
from tests.property.people_scenes import PeopleScenes
from tests.property.redis_system import System
from tests.property.restart_people import RestartPeople
from tests.property.small_slabs import small_slabs
from tests.property.state_machine import run_random_histories
from tests.property.walk_settings import MAX_AGE_S, settings_for, with_restarts


@pytest.mark.parametrize(
    ("max_age_s", "load"),
    [(0, scripts.script), (MAX_AGE_S, scripts.script), (0, small_slabs())],
    ids=["any-age", "not-older", "many-ids"],
)
def test_no_history_breaks_what_must_be_true(client: redis.Redis, max_age_s: int, load: Callable[[str], Script]):
    """One person is one conversation, one fate for each message, media where its message is, and everything drains."""
    system = System(client, settings_for("people", max_age_s=max_age_s), load)
    run_random_histories(lambda: PeopleScenes(system), CROWD_ACTIONS, share=2)


def test_no_history_loses_what_goes_back(client: redis.Redis):
    """The same when a message takes back the batch before it: edits, revokes, media and names keep what they mean."""
    system = System(client, with_restarts(settings_for("people")))
    run_random_histories(lambda: RestartPeople(system), RESTART_CROWD_ACTIONS, share=2)
