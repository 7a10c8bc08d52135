"""Short scenes of several actions, each of which a random walk would seldom find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from buffer.reply_models import Ending, PartEnd
from tests.property.reply_actions import ReplyActions
from tests.property.reply_model import ECHO_MAX_MS
from tests.property.walk_settings import PEOPLE

Seen = Literal["", "echo", "echo after", "sent", "failed", "no id"]
"""What a gateway tells of a part, beside its answer to the request."""


class ReplyScenes(ReplyActions):
    """The actions of a world whose workers answer people, and scenes of them."""

    # Parts that leave

    def serve(  # noqa: PLR0917 - the choices of a random walk
        self, who: str, limits: str, how: PartEnd | None, times: tuple[int, int], seen: Seen, again: bool
    ) -> None:
        """A worker looks at a conversation when it is due, and takes its next part one step on, or two."""
        self._be_served(who)
        self.reply(0, (1, 2, 2), 0, again=False)
        self._send_next(who, limits, how, times, seen, again)

    def queue(self, who: str, limits: str, ends: Sequence[PartEnd], delay_ms: int, again: bool) -> None:
        """The parts of an answer leave one after the other, as a limit lets them."""
        self._begin_anew(who)
        self._be_served(who)
        self.reply(0, (1, 2, 2), delay_ms, again=False)
        for how in ends:
            self.check()
            batch = self.model.talks[who].batch
            if not (batch and batch.token):
                self._be_served(who)
            self._send_next(who, limits, how, (7_000, 5_000) if how == "later" else (0, 0), "", again)

    def doubt(self, who: str, how: PartEnd, seen: Seen) -> None:
        """A gateway tells of a part after its request, perhaps of one in doubt."""
        self._begin_anew(who)
        self.serve(who, "none", how, (0, 0), seen, again=False)

    def misjudge(self, who: str, is_early: bool) -> None:
        """A gateway sends a part and says that it did not; its echo comes before that, or before the next try."""
        self._be_answered(who, (1, 2, 2))
        self.begin(0, own=True, limits="none", again=False)
        sender = self._sender(0)
        if sender and sender.is_marked and sender.own_id and not sender.has_left:
            self.leave(0)
            if is_early:
                self.echo(0, by_own_id=True, by_text=False)
            self._end(sender, Ending("later", sender.flush_id, None, 7_000, 0, "429"), again=False)
            if not is_early:
                self.echo(0, by_own_id=True, by_text=False)

    def hold_the_channel(self, who: str, limits: str) -> None:
        """A gateway refuses the program itself: all wait, then one part goes first, and only one."""
        other = _neighbour(who)
        self._begin_anew(other)
        self._begin_anew(who)
        for each in (other, who):
            self._be_served(each)
            self.reply(0, (1, 2), 0, again=False)
        self.begin(0, own=False, limits=limits, again=False)
        self.end(0, "misconfigured", (7_000, 0), again=False, has_id=False)
        self.check()
        self.begin(0, own=False, limits=limits, again=False)
        self.check()
        self.pass_time(7_000)
        for each in (other, who):
            self.claim(each)
            self.begin(0, own=False, limits=limits, again=False)
        self.check()
        self.leave(0)
        self.end(0, "sent", (0, 0), again=False, has_id=True)

    # Workers that come late

    def wake_late(self, who: str, leaves_late: bool) -> None:
        """A worker sleeps for longer than its lease, between mark and send or after it, and goes on then."""
        self._be_answered(who, (1, 2, 3))
        self.begin(0, own=False, limits="none", again=False)
        if not leaves_late:
            self.leave(0)
        self.pass_time(self.system.settings.lease_ms)
        self.claim(who)
        self.leave(1)
        self.end(1, "sent", (0, 0), again=False, has_id=True)

    def begin_too_late(self, who: str, is_taken: bool) -> None:
        """A worker that lost its lease asks whether its part may leave, perhaps after another has taken over."""
        self._be_answered(who, (1, 2))
        self.pass_time(self.system.settings.lease_ms)
        if is_taken:
            self.claim(who)
        self.begin(int(is_taken), own=False, limits="none", again=False)

    def answer_too_late(self, who: str) -> None:
        """Earlier tries to store an answer, and to begin its first part, arrive when that has left."""
        self._be_answered(who, (1, 2, 3))
        self._send_part("sent")
        self.reply_late(0)
        self.check()
        self.begin_late(0)

    # Humans, operators and the end of an answer

    def take_while_sending(self, who: str, how: PartEnd, is_late: bool) -> None:
        """A human writes while a part is on its way, perhaps after the lease; then the worker reports its end."""
        self._be_answered(who, (1, 2, 3))
        self.begin(0, own=False, limits="none", again=False)
        if how in ("sent", "in_doubt"):
            self.leave(0)
        if is_late:
            self.pass_time(self.system.settings.lease_ms)
        self.write(who, 0, 60_000)
        self.end(0, how, (0, 0), again=False, has_id=True)

    def take_before(self, who: str, is_answered: bool) -> None:
        """A human writes while the agent works, or before the first part of its answer has left."""
        self._begin_anew(who)
        self._be_served(who)
        if is_answered:
            self.reply(0, (1, 2), 0, again=False)
        self.write(who, 0, 60_000)
        self.check()
        self.reply(0, (1, 2), 0, again=False)
        self.begin(0, own=False, limits="none", again=False)

    def hand_over(self, who: str, gives_back: bool) -> None:
        """The agent gives the conversation to a human, who perhaps gives it back; then the person goes on."""
        self._be_answered(who, (1,))
        self._send_part("sent")
        self.ack(0, 60_000)
        self.check()
        if gives_back:
            self.command(who, "resume", 0)
            self.check()
        self.say(who, 1)

    def interrupt(self, who: str, limits: str) -> None:
        """An operator pauses a conversation whose next part is due, and resumes it before the end of the pause."""
        self._be_answered(who, (1, 2))
        self.pause(who, 60_000, takeover=False)
        self.begin(0, own=False, limits=limits, again=False)
        self.check()
        self.resume(who)
        self.claim(who)

    def die_while_sending(self, who: str, then: Literal["work", "die"]) -> None:
        """A batch becomes a dead letter while a part is on its way, and is delivered again."""
        self._be_answered(who, (1, 2, 3))
        self.begin(0, own=True, limits="none", again=False)
        self.leave(0)
        flush_id = self._bury()
        self.check()
        if flush_id:
            self._redrive(flush_id)
            self._be_served(who)
            self.check()
        if then == "die":
            self.fail(0, "dead", 0)

    def send_again(self, who: str, then: Literal["work", "die"], action: str) -> None:
        """An operator has a part in doubt sent again, or drops it; the answer has no messages then."""
        self._be_answered(who, (1, 2))
        sender = self._sender(0)
        self._send_part("in_doubt")
        doubt_id = f"{sender.flush_id}.1" if sender else ""
        self.finish()
        self.check()
        if doubt_id in self.model.doubts:
            self._settle(doubt_id, action)
            self.check()
            self._be_served(who)
            self.check()
            self.fail(0, "dead", 0) if then == "die" else self._send_part("sent")

    def grow_old(self, who: str) -> None:
        """A part is in doubt for more than an hour; then a human writes the same text."""
        self._begin_anew(who)
        self.serve(who, "none", "in_doubt", (0, 0), "", again=False)
        self.leap(ECHO_MAX_MS + 1)
        self.write(who, 1, 0)

    # How it is done

    def _be_answered(self, who: str, texts: tuple[int, ...]) -> None:
        """The person begins anew, and the agent has answered."""
        self._begin_anew(who)
        self._be_served(who)
        self.reply(0, texts, 0, again=False)
        self.check()

    def _send_next(  # noqa: PLR0917 - as `serve`
        self, who: str, limits: str, how: PartEnd | None, times: tuple[int, int], seen: Seen, again: bool
    ) -> None:
        self.begin(0, own=seen in ("", "sent", "failed"), limits=limits, again=again)
        if how in ("sent", "in_doubt"):
            self.leave(0)
        if how == "in_doubt" and seen == "echo":
            self.echo(0, by_own_id=False, by_text=True)
        if how:
            self.end(0, how, times, again=False, has_id=seen != "no id")
        if how in ("sent", "in_doubt"):
            self._tell(who, seen)

    def _send_part(self, how: PartEnd) -> None:
        self.begin(0, own=False, limits="none", again=False)
        self.leave(0)
        self.end(0, how, (0, 0), again=False, has_id=True)

    def _tell(self, who: str, seen: Seen) -> None:
        """A gateway tells of the part that left, and tells it again; then a human writes what was the same text."""
        if seen in ("sent", "failed"):
            for _ in range(2):
                self.report(0, seen, by_own_id=True)
        elif seen in ("echo after", "no id"):
            self.echo(0, by_own_id=False, by_text=True)
            self.check()
            self.echo(0, by_own_id=False, by_text=False)
            self.check()
            self.write(who, 1, 0)


def _neighbour(who: str) -> str:
    people = list(PEOPLE)
    return people[(people.index(who) + 1) % len(people)]
