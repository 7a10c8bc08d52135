"""Short scenes of the world, each of which a random walk would seldom find: most are of a person who starts anew."""

from __future__ import annotations

from typing import Literal

from buffer.models import FailureMode
from tests.property.model_comparison import ModelComparison
from tests.property.walk_settings import LEASE_S

DELIVERIES_MAX = 6


class WorldScenes(ModelComparison):
    """The actions of people, workers and operators, and scenes of them."""

    # Turns and windows

    def split_turn(self, who: str, times: int, acked: bool) -> None:
        """A turn goes on over several bursts, each of which is asked for at once."""
        self._begin_anew(who)
        for _ in range(times):
            self._be_served_at_once(who)
            if acked:
                self.finish()
            self.pass_time(1_000)
            self.say(who, 1)
            self.check()
            if not acked:
                self.finish()

    def go_on_in_a_hold(self, who: str, ms: int) -> None:
        """A person types, and their next message comes long after their window would have been over."""
        self._begin_anew(who)
        self.type(who, "typing")
        self.pass_time(ms)
        self.say(who, 1)

    def fill(self, who: str, is_large: bool) -> None:
        """A burst grows until a cap closes it, and goes on; then the agent gets the head of it."""
        self._begin_anew(who)
        for _ in range(4):
            while is_large and self.serial % 3 != 1:
                self.serial += 1
            self.pass_time(1_000)
            self.say(who, 1)
            self.check()
        self._be_served(who)

    def say_much(self, who: str) -> None:
        """A person writes so much that their ids are appended to those before."""
        for _ in range(6):
            self.say(who, 6)
            self.check()
        self.discard(who)

    # Workers that die, come late, or are stopped

    def answer_twice(self, who: str, is_late: bool) -> None:
        """A worker that lost its lease answers after its successor, or before it; then the person goes on."""
        self._begin_anew(who)
        self._be_served(who)
        self.answer(0)
        self.pass_time(self.system.settings.lease_ms)
        self.claim(who)
        if is_late:
            self.answer(1)
            self.check()
        self.answer(0)
        self.check()
        self.finish()
        self.say(who, 1)
        self._be_served_at_once(who)

    def kill_workers(self, who: str, times: int) -> None:
        """A batch kills one worker after the other."""
        self._begin_anew(who)
        self._be_served(who)
        for _ in range(times):
            self._die(who)
            self.check()

    def try_again(self, who: str, mode: FailureMode) -> None:
        """A worker gives its batch back, and others come before it is due again, and when it is."""
        self._begin_anew(who)
        self._be_served(who)
        self.claim_again(0)
        self.check()
        self.fail(0, mode, 5_000)
        self.check()
        self.claim(who)
        self.check()
        self._be_served(who)

    def be_held_up(self, who: str) -> None:
        """A worker dies while the clock jumps: its lease is over, and nobody takes over yet."""
        self._begin_anew(who)
        self._be_served(who)
        self.pass_time(LEASE_S * 500)
        self.hold()
        self.check()
        self.pass_time(LEASE_S * 500)
        self.claim(who)

    def cancel(self, who: str, how: Literal["renew", "answer", "ack"]) -> None:
        """An operator discards a batch in flight, and its worker hears of it."""
        self._begin_anew(who)
        self._be_served(who)
        self.discard(who)
        self.check()
        getattr(self, how)(0)
        self.check()
        self.fail(0, "release", 0)

    # What operators do

    def redrive_twice(self, who: str, then: Literal["work", "erase", "die"]) -> None:
        """A dead letter is asked for twice, and goes before what its person says meanwhile."""
        self._begin_anew(who)
        self._be_served(who)
        flush_id = self._bury()
        self.say(who, 1)
        self.check()
        if then == "erase":
            return self.erase(who)
        for _ in range(2 if flush_id else 0):
            self._redrive(flush_id)
            self.check()
        self.claim(who)
        if then == "die":
            self.check()
            self.fail(0, "dead", 0)

    def go_on_in_a_pause(self, who: str, takeover: bool, resumed: bool) -> None:
        """A person goes on while an operator has paused them; nothing is told before the end of the pause."""
        self._begin_anew(who)
        self.pause(who, 400_000, takeover)
        self.check()
        self.say(who, 1)
        self.check()
        self.pass_time(self.system.settings.max_wait_ms)
        self.claim(who)
        if resumed:
            self.check()
            self.resume(who)

    # How it is done

    def _begin_anew(self, who: str) -> None:
        """All that the person wrote is delivered, and they begin to write."""
        for _ in range(DELIVERIES_MAX):
            if self.model.is_held(who):
                self._be_served(who)
                self.finish()
        self.say(who, 1)
        if self.serial % 3 == 0:
            self.pass_time(1)
            self.say(who, 1, shift_ms=-9_000)
        self.check()

    def _be_served(self, who: str) -> None:
        self.pass_time_until_due(who)
        self.claim(who)

    def _be_served_at_once(self, who: str) -> None:
        self.flush_now(who)
        self.pass_time(1)
        self.flush_now(who)
        self.claim(who)
        self.check()

    def _die(self, who: str) -> None:
        """The worker of a batch dies, and another takes it over."""
        self.die(0)
        self.pass_time(self.system.settings.lease_ms)
        self.claim(who)

    def _bury(self) -> str:
        """The newest worker refuses its batch for good. Return the dead letter, or "" where there is none."""
        flight = self._flight(0)
        batch = self.model.talks[flight.who].batch if flight else None
        self.fail(0, "dead", 0)
        return batch.flush_id if batch and batch.flush_id in self.model.letters else ""
