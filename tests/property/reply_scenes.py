"""Short scenes of several actions, each of which a random walk would seldom find."""

from __future__ import annotations

from buffer.reply_models import Ending, PartEnd
from tests.property.reply_actions import ReplyActions
from tests.property.reply_model import ECHO_MAX_MS


class ReplyScenes(ReplyActions):
    """The actions of a world whose workers answer people, and scenes of them."""

    def serve(self, who: str, limits: str, how: PartEnd | None, times: tuple[int, int], seen: str) -> None:
        """A worker looks at a conversation when it is due, and takes its next part one step on, or two."""
        self.pass_time_until_due(who)
        self.claim(who)
        self.reply(0, (1, 2, 2), 0, again=False)
        self.begin(0, own=True, limits=limits, again=False)
        if how in ("sent", "in_doubt"):
            self.leave(0)
        if how == "in_doubt" and seen == "echo":
            self.echo(0, by_own_id=False, by_text=True)
        if how:
            self.end(0, how, times, again=False, has_id=seen != "no id")
        if how == "in_doubt" and seen == "failed":
            self.report(0, "failed", by_own_id=True)

    def queue(self, who: str, limits: str) -> None:
        """The parts of an answer leave one after the other, as a limit lets them."""
        ends: tuple[PartEnd, ...] = ("sent", "sent", "limited", "sent")
        for how in ends:
            self.serve(who, limits, how, (0, 0), "")

    def misjudge(self, who: str) -> None:
        """A gateway sends a part and says that it did not; its echo comes before the next try."""
        self.claim(who)
        self.reply(0, (1, 2, 2), 0, again=False)
        self.begin(0, own=True, limits="none", again=False)
        sender = self._sender(0)
        if sender and sender.is_marked and sender.own_id and not sender.has_left:
            self.leave(0)
            self._end(sender, Ending("later", sender.flush_id, None, 7_000, 0, "429"), again=False)
            self.echo(0, by_own_id=True, by_text=False)

    def wake_late(self, who: str, leaves_late: bool) -> None:
        """A worker sleeps for longer than its lease, between mark and send or after it, and goes on then."""
        self.claim(who)
        self.reply(0, (1, 2, 3), 0, again=False)
        self.begin(0, own=False, limits="none", again=False)
        if not leaves_late:
            self.leave(0)
        self.pass_time(self.system.settings.lease_ms)
        self.claim(who)
        self.leave(1)
        self.end(1, "sent", (0, 0), again=False, has_id=True)

    def take_while_sending(self, who: str, how: PartEnd) -> None:
        """A human writes while a part is on its way; then the worker reports its end."""
        self.claim(who)
        self.reply(0, (1, 2, 3), 0, again=False)
        self.begin(0, own=False, limits="none", again=False)
        self.write(who, 0, 60_000)
        self.end(0, how, (0, 0), again=False, has_id=True)

    def interrupt(self, who: str, limits: str) -> None:
        """An operator pauses a conversation whose next part is due, and resumes it before the end of the pause."""
        self.claim(who)
        self.pause(who, 60_000, takeover=False)
        self.begin(0, own=False, limits=limits, again=False)
        self.resume(who)
        self.claim(who)

    def grow_old(self, who: str) -> None:
        """A part is in doubt for more than an hour; then a human writes the same text."""
        self.serve(who, "none", "in_doubt", (0, 0), "")
        self.leap(ECHO_MAX_MS + 1)
        self.write(who, 1, 0)
