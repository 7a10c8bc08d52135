"""People who go on writing while their agent works, on routes where that takes the batch back and on others."""

from __future__ import annotations

from typing import Literal, cast

from buffer.models import SUSPECT_CRASHES
from tests.property.compared_system import ComparedSystem
from tests.property.redis_system import System
from tests.property.reply_scenes import ReplyScenes
from tests.property.restart_journal import RestartJournal
from tests.property.walk_settings import PEOPLE, without_restarts
from tests.property.world_scenes import WorldScenes

Hears = Literal["renew", "answer", "ack", "release", "retry", "dead", "die", "begin", "nothing"]
"""How the worker of a batch that is taken back comes to hear of it."""

Before = Literal["later", "put back", "sending", "one sent", "answered", "killer", "redriven", "cancelled"]
"""What had happened to the batch before: then it waits, or stays."""


class RestartActions(WorldScenes):
    """The actions of the world, with people who interrupt, on a route that restarts and on one that does not."""

    def __init__(self, system: System) -> None:
        self.restarts = RestartJournal()
        super().__init__(system)

    def say_queued(self, who: str, count: int) -> None:
        """Messages of a route that does not restart: they wait behind whatever batch there is."""
        route = without_restarts(self.system.settings)
        self._request([(who, self._message(PEOPLE[who], 0, False)) for _ in range(count)], route)

    def go_on(self, who: str, count: int, hears: Hears | Before, times: tuple[int, bool]) -> None:
        """A person writes while their batch is in flight; then the worker hears of it, in one of many ways.

        `times` are how long after the claim they write, and whether that was the first thing they wrote.
        """
        pause_ms, is_anew = times
        if is_anew:
            self._begin_anew(who)
        self._be_served(who)
        self._before(who, hears)
        self.pass_time(pause_ms)
        self.say(who, count)
        self.check()
        if count > 1:
            self.say_queued(who, 1)
            self.check()
        self._hear(who, hears)

    def go_on_and_on(self, who: str, times: int, dies: bool) -> None:
        """A person writes each time that the agent has their burst; the last batch perhaps dies, and is asked for."""
        self._begin_anew(who)
        for _ in range(times):
            self._be_served(who)
            self.say(who, 1)
            self.check()
            self.fail(0, "release", 0)
            self.check()
        self._be_served(who)
        if dies and (flush_id := self._bury()):
            self._redrive(flush_id)
            self._be_served(who)

    def _before(self, who: str, hears: Hears | Before) -> None:
        if hears == "later":
            self.fail(0, "retry", 90_000)
        elif hears == "answered":
            self.answer(0)
        elif hears == "cancelled":
            self.discard(who)
        elif hears == "killer":
            for _ in range(SUSPECT_CRASHES):
                self._die(who)
        elif hears == "redriven" and (flight := self._flight(0)) and (flush_id := self._bury()):
            self._redrive(flush_id)
            self._be_served(flight.who)

    def _hear(self, who: str, hears: Hears | Before) -> None:
        if hears == "renew":
            self.renew(0)
            self.fail(0, "release", 0)
        elif hears == "answer":
            self.answer(0)
            self.fail(0, "release", 0)
        elif hears in ("ack", "answered", "redriven", "cancelled"):
            self.ack(0)
        elif hears in ("release", "retry", "dead"):
            self.fail(0, hears, 5_000)
        elif hears == "later":
            self.claim(who)
        elif hears in ("die", "killer"):
            self._die(who)

    def check(self) -> None:
        super().check()
        check_restarts(self, self.restarts)

    def _compare(self, batch, expected) -> None:
        super()._compare(batch, expected)
        ids = [stored.fields["message_id"] for stored in batch.messages]
        self.restarts.claim(batch.flush_id, ids, batch.supersedes)


class RestartReplies(ReplyScenes):
    """The actions of workers that answer people who interrupt them."""

    say_queued = RestartActions.say_queued
    go_on, go_on_and_on = RestartActions.go_on, RestartActions.go_on_and_on

    def __init__(self, system: System) -> None:
        self.restarts = RestartJournal()
        super().__init__(system)

    def _before(self, who: str, hears: Hears | Before) -> None:
        if hears in ("begin", "put back", "sending", "one sent"):
            self.reply(0, (1, 2), 0, again=False)
        elif hears == "later":
            self.reply(0, (1, 2), 4_000, again=False)
        if hears in ("put back", "sending", "one sent"):
            self.begin(0, own=True, limits="none", again=False)
        if hears == "put back":
            self.end(0, "later", (7_000, 60_000), again=False, has_id=True)
        elif hears == "one sent":
            self.leave(0)
            self.end(0, "sent", (0, 0), again=False, has_id=True)

    def _hear(self, who: str, hears: Hears | Before) -> None:
        if hears in ("renew", "release", "retry", "dead", "die"):
            RestartActions._hear(cast(RestartActions, self), who, hears)
        elif hears == "answer":
            self.reply(0, (1, 2), 0, again=True)
        elif hears == "ack":
            self.reply(0, (), 0, again=False)
            self.ack(0)
        elif hears == "begin":
            self.begin(0, own=True, limits="none", again=True)
        elif hears in ("later", "put back"):
            self.claim(who)
            self.begin(0, own=True, limits="none", again=False)
        elif hears in ("sending", "one sent"):
            self.finish()

    def check(self) -> None:
        for flush_id in self.restarts.gone(self.system.look()):
            self.journal.take_back(flush_id)
        super().check()
        check_restarts(self, self.restarts)

    def _compare(self, batch, expected) -> None:
        super()._compare(batch, expected)
        if batch.messages:
            ids = [stored.fields["message_id"] for stored in batch.messages]
            self.restarts.claim(batch.flush_id, ids, batch.supersedes)


def check_restarts(world: ComparedSystem, journal: RestartJournal) -> None:
    """What is taken back is marked as the model says, and no burst waits for longer than the longest wait."""
    journal.check(world.picture)
    waits = world.model.waits
    assert world.picture.waits() == (waits.total(), sum(ms * count for ms, count in waits.items())), "waits"
    for who, conversation in PEOPLE.items():
        talk, conv = world.model.talks[who], world.picture.conv(world.system.ref(conversation).hash)
        is_marked = bool(talk.batch and talk.batch.is_superseded)
        assert ("superseded" in conv) == is_marked, f"the mark of {who}"
        longest_ms = talk.opened_ms + world.system.settings.max_wait_ms
        assert talk.fired or talk.deadline_ms <= max(longest_ms, 0), f"{who} waits for longer than the longest wait"
