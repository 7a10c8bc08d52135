"""After an erase no key of Redis, and none of RQ's Redis, holds anything of the person, while the whole system runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from buffer.keys import fingerprint_of, ref_of
from buffer.models import Conversation
from tests.gateway_stubs.base import Fault
from tests.gateway_stubs.evolution import EvolutionStub
from tests.integration.agent import Answer
from tests.integration.deployment import CRASHES, Deployment
from tests.integration.polling import until
from tests.integration.processes import TOKEN
from tests.integration.reply_line import SENDS, ReplyLine, replying
from tests.integration.rq_view import contents
from tests.servers import Server, free_port

ALBA, BIA = "5511900000071", "5511900000072"
NAME = "Alba Quintanilha"
TEXT = "quero cancelar o pedido de flores"
ANSWERS = ("o pedido de flores foi cancelado", "a entrega de flores volta amanha")
WHO = Conversation("evolution", "loja", ALBA)
REF = ref_of(WHO, 1)
SHOWN_BY = "rq:queue:flush:shown-by"
STATES = ("wip", "finished", "failed")


@pytest.fixture
def stub() -> Iterator[EvolutionStub]:
    one = EvolutionStub()
    one.echoes_on = False
    one.open()
    yield one
    one.close()


class Whole:
    """A whole system in which a person has been through everything."""

    def __init__(self, deployment: Deployment, stub: EvolutionStub, queue: Server) -> None:
        self.deployment = deployment
        self.stub = stub
        self.servers = {deployment.server, queue}
        self.queue: Any = queue.client()
        self.way = ReplyLine(deployment, stub)
        self.way.name = NAME
        self.ids: list[str] = []
        deployment.worker()

    def live(self) -> None:
        """Let the person get an answer, leave a part in doubt, and leave a dead letter."""
        answers = [replying(ANSWERS[0]), replying(ANSWERS[1]), Answer(422, b"no"), Answer(held=True)]
        self.deployment.agent.answer(ALBA, *answers)
        self.stub.faults = {2: Fault("lost")}
        self.say()
        self.way.wait_heard(ALBA, ANSWERS[:1])
        self.say()
        until("a part is in doubt", self.way.doubts)
        self.say()
        until("a letter is dead", self.way.dead)
        self.wait_listed("finished", 1)
        self.wait_listed("failed", 1)

    def say(self) -> None:
        """Let the person write."""
        self.ids += self.way.say(ALBA, TEXT)

    def wait_listed(self, registry: str, least: int) -> None:
        """Wait until RQ lists jobs of the person in a registry."""
        until(f"{registry} in RQ", lambda: len(self.listed(registry)) >= least)

    def listed(self, registry: str) -> list[bytes]:
        """The entries of the person in one of RQ's registries."""
        return [entry for entry in self.queue.zrange(f"rq:{registry}:flush", 0, -1) if REF.hash.encode() in entry]

    def traces(self) -> list[str]:
        """Where a server still has anything of the person."""
        words = [ALBA, ALBA[-4:] + " · ", NAME, TEXT, *ANSWERS, REF.hash, *self.ids, *self.own_ids()]
        raw = [word.encode() for word in words] + [fingerprint_of(one) for one in self.ids]
        return [
            f"{word!r} in {key!r}"
            for server in self.servers
            for key, held in contents(server).items()
            for word in raw
            if any(word in part for part in (key, *held))
        ]

    def own_ids(self) -> list[str]:
        """Our ids of the parts that were sent."""
        return [entry.own_id for entry in self.stub.journal if entry.own_id]

    def erase(self, how: str) -> dict[str, Any]:
        """Erase the person by command or by API. Returns the answer of the API."""
        client, url = self.way.webhook.client, f"http://127.0.0.1:{self.way.webhook.port}/conversations"
        if how == "command":
            named = [f"{WHO.gateway}/{WHO.channel}", ALBA]
            assert self.deployment.run([sys.executable, "-m", "cli", "erase", *named, "--yes"]).wait() == 0
            return {}
        body = {"gateway": WHO.gateway, "channel": WHO.channel, "id": ALBA}
        answer = client.delete(f"{url}/{REF}") if how == "ref" else client.post(f"{url}/erase", json=body)
        assert answer.status_code == 200
        return answer.json()


@pytest.fixture
def whole(
    stub: EvolutionStub, start_deployment: Callable[..., Deployment], start_server: Callable[..., Server]
) -> Callable[..., Whole]:
    """Start a whole system: whole(has_own_queue=True, message_buffer_timeout=2)."""

    def start(has_own_queue: bool, **settings: object) -> Whole:
        server = start_server()
        queue = start_server() if has_own_queue else server
        more = {"rq_redis_url": queue.url} if has_own_queue else {}
        both = {**SENDS, **CRASHES, "evolution_url": stub.url, "admin_token": TOKEN, **more, **settings}
        return Whole(start_deployment(server, **both), stub, queue)

    return start


@pytest.mark.parametrize(("how", "has_own_queue"), [("command", True), ("ref", False), ("person", True)])
def test_nothing_of_a_person_in_flight(whole: Callable[..., Whole], how: str, has_own_queue: bool) -> None:
    """Finished, in doubt, dead, at the agent, and waiting behind that: after the erase all is gone, in RQ too."""
    system = whole(has_own_queue)
    system.live()
    system.say()
    system.wait_listed("wip", 1)
    system.say()
    assert system.traces()
    answer = system.erase(how)
    assert answer.get("jobs", 3) >= 3
    until("the call is given up", lambda: not system.deployment.agent.under_way())
    until("nothing is left", lambda: not system.traces())
    looks_again(system)
    assert system.traces() == []


@pytest.mark.parametrize("how", ["command", "ref"])
def test_nothing_of_a_person_who_waits(whole: Callable[..., Whole], how: str) -> None:
    """The burst is scheduled in RQ: when the erase has answered nothing is left, and nothing comes back."""
    system = whole(how == "ref", message_buffer_timeout=3.0)
    system.live()
    system.say()
    system.wait_listed("scheduled", 1)
    system.way.name = "Bia"
    neighbours = system.way.say(BIA, "oi")
    system.erase(how)
    assert system.traces() == []
    looks_again(system)
    assert system.traces() == []
    system.deployment.wait_calls(BIA)
    assert system.deployment.agent.calls_of(BIA)[0].ids == neighbours
    assert len(system.deployment.agent.calls_of(ALBA)) == 3


def looks_again(system: Whole) -> None:
    """Wait until the worker that shows has looked twice since the erase, which had ended its lease."""
    until("it has the lease again", lambda: system.queue.exists(SHOWN_BY))
    system.queue.pexpire(SHOWN_BY, 5)
    until("it has the lease once more", lambda: system.queue.pttl(SHOWN_BY) > 1000)


def test_rqs_redis_is_away(stub: EvolutionStub, start_deployment: Callable[..., Deployment]) -> None:
    """Nothing is erased, and the answer says why: so it can be sent again."""
    away = f"redis://127.0.0.1:{free_port()}/0"
    deployment = start_deployment(**{**SENDS, "evolution_url": stub.url, "admin_token": TOKEN, "rq_redis_url": away})
    way = ReplyLine(deployment, stub)
    way.say(ALBA, TEXT)
    answer = way.webhook.client.delete(f"http://127.0.0.1:{way.webhook.port}/conversations/{REF}")
    told = answer.json()["detail"]
    assert (answer.status_code, answer.json()["error"]) == (503, "unavailable")
    command = deployment.run([sys.executable, "-m", "cli", "erase", str(REF), "--yes"])
    assert command.wait() == 1
    for said in (told, command.log):
        assert "RQ_REDIS_URL" in said
        assert "nothing was erased" in said
    assert deployment.pending() == 1
