"""The log lines of `rq suspend` and `rq resume`."""

from __future__ import annotations

from typing import Any

from structlog.testing import capture_logs

from buffer.models import Conversation
from buffer.store import Store
from tests.messages import message
from tests.servers import Server
from worker.suspension import SuspensionLog


async def test_suspend_and_resume_are_said_once_each(valkey: Server, open_store: Any):
    """However often the worker looks, each change is one line with the number of conversations that wait."""
    store: Store = open_store(valkey)
    await store.append([message("m", Conversation("generic", "loja", peer)) for peer in ("ana", "bia")])
    log = SuspensionLog(store)
    with capture_logs() as lines:
        for is_suspended in (False, True, True, True, False, False):
            log.note(is_suspended)
            if log._logging is not None:
                await log._logging
    assert [(line["log_level"], line["event"], line["waiting"]) for line in lines] == [
        ("warning", "RQ is suspended: no flush starts; 2 conversations waiting; `rq resume` ends it", 2),
        ("info", "RQ is resumed: flushes start again; 2 conversations waiting", 2),
    ]
