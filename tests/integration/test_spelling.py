"""A misspelt name of a setting is told in the log, however the webhook is started."""

from __future__ import annotations

import pytest

from tests.integration.processes import FAST_PATH, SERVE

MISSPELT = "AGENTURL"


@pytest.mark.parametrize(("options", "workers"), [(FAST_PATH, 1), ((), 1), (SERVE, 2)], ids=["fast", "plain", "serve"])
def test_every_start_tells_it_once(start_deployment, options, workers: int):
    """`debouncer serve` tells it once for all its processes, and a plain uvicorn tells it as well."""
    webhook = start_deployment().webhook(workers, options=options, **{MISSPELT.lower(): "http://agent/"})
    assert webhook.log.count(MISSPELT) == 1, webhook.log
