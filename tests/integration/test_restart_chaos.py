"""People go on writing while the agent answers, and a worker dies every second: each message is answered once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.gateway_stubs.generic import GenericStub
from tests.integration.deployment import Deployment
from tests.integration.nursery import Nursery
from tests.integration.restart_storm import Scale, Storm, settings_of


@pytest.fixture
def receiver() -> Iterator[GenericStub]:
    """Takes the replies."""
    stub = GenericStub()
    stub.echoes_on = False
    stub.open()
    yield stub
    stub.close()


def test_a_message_that_takes_a_batch_back_is_answered_once(
    start_deployment: Callable[..., Deployment], receiver: GenericStub, tmp_path: Path
) -> None:
    """No text of a flush that was taken back reaches anybody, and every message is in one that was answered."""
    deployment = start_deployment(**settings_of(receiver))
    workers = Nursery(deployment.settings, tmp_path)
    storm = Storm(deployment, receiver, workers, Scale())
    try:
        storm.run()
    finally:
        workers.close()
    print(f"\n{storm.figures}")
    assert storm.problems == []
    assert storm.figures["batches superseded"] > 0
