"""FALLBACK_REPLY reaches the person whose burst died, once an hour, and nobody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.gateway_stubs.evolution import EvolutionStub
from tests.integration.agent import Answer
from tests.integration.deployment import Deployment
from tests.integration.polling import until
from tests.integration.reply_line import SENDS, ReplyLine, replying

ANA, EVA = "5511900000011", "5511900000012"
SORRY = "Estamos com um problema. Já voltamos!"


@pytest.fixture
def stub() -> Iterator[EvolutionStub]:
    one = EvolutionStub()
    one.open()
    yield one
    one.close()


def test_a_burst_that_dies(stub: EvolutionStub, start_deployment: Callable[..., Deployment]) -> None:
    """Two bursts die, and the person hears of one. The next one that the agent takes is answered as ever."""
    settings = {**SENDS, "evolution_url": stub.url, "fallback_reply": SORRY}
    way = ReplyLine(start_deployment(**settings), stub)
    way.deployment.agent.answer(ANA, Answer(422), Answer(422), replying("pronto"))
    way.deployment.agent.answer(EVA, replying("oi"))
    way.deployment.worker()
    way.say(ANA, "um")
    way.wait_heard(ANA, [SORRY])
    way.say(ANA, "dois")
    until("it is dead, too", lambda: len(way.dead()) == 2)
    way.say(ANA, "três")
    way.wait_heard(ANA, [SORRY, "pronto"])
    way.say(EVA, "oi")
    way.wait_heard(EVA, ["oi"])
    way.wait_idle()
    assert len(way.calls_of(ANA)) == 3
    assert way.hears(ANA) == [SORRY, "pronto"]


def test_without_one_nothing_is_said(stub: EvolutionStub, start_deployment: Callable[..., Deployment]) -> None:
    """It is off by default."""
    way = ReplyLine(start_deployment(**{**SENDS, "evolution_url": stub.url}), stub)
    way.deployment.agent.default = Answer(422)
    way.deployment.worker()
    way.say(ANA, "um")
    until("it is dead", lambda: len(way.dead()) == 1)
    way.wait_idle()
    assert stub.journal == []
