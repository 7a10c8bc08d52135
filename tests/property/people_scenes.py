"""Short scenes of people with several names, each of which a random walk would seldom find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tests.property.expected_messages import SentMessage
from tests.property.people_actions import PeopleActions
from tests.property.walk_settings import NAMES

Before = Literal[
    "nothing",
    "said",
    "itself",
    "told",
    "copied",
    "long",
    "fired",
    "served",
    "dead",
    "redriven",
    "paused",
    "taken",
    "early",
]
"""What there is under a name before its gateway tells that it belongs to a person.

`itself` is a message that tells its own name, and is not recognised under another; `told` is the same, delivered;
`copied` is the message before under this name; `early` is an edit before its message.
"""

Meets = Literal["says", "repeats", "by id"]
"""How a gateway tells: with a new message, with the one before, or by delivering that under the other name."""

Then = Literal["claim", "type", "flush_now", "discard", "resume", "redrive", "change", "say_at_last"]


class PeopleScenes(PeopleActions):
    """The actions of people under all their names, and scenes of them."""

    def meet_anew(  # noqa: PLR0917 - the choices of a random walk
        self, who: str, before: tuple[Before, Before], then: Then, media: bool, how: Meets, first: int
    ) -> None:
        """Two names turn out to be one person; then something happens under the second one."""
        self._be_strangers(who)
        for one, what in enumerate(before):
            self._prepare(who, one, what, media)
            self.check()
        if how != "says" and any(note.who == who for note in self._last_notes()):
            self.repeat(0, first, 1 - first if how == "repeats" else None)
        else:
            self._say(who, first, alias=1 - first)
        self.check()
        self._go_on(who, then)

    def serve_both(self, who: str, media: bool) -> None:
        """The agent has a burst of each of two names when they turn out to be one person, who goes on."""
        self._be_strangers(who)
        for one in (0, 1):
            self._prepare(who, one, "served", media)
            self.check()
        self._say(who, 0, alias=1)
        self.check()
        self._take_turns(who)

    def chain(self, who: str, first: int) -> None:
        """A third name is told of a person who has two already."""
        self.go_away()
        for one, alias in ((first, first + 1), (first + 2, None), (first + 2, first)):
            self.check()
            self._say(who, one, alias=alias)

    def overtake(self, who: str, one: int, alias: int | None, revoke: bool) -> None:
        """An edit or a revoke comes before its message, and the agent gets what is left."""
        self.revoke_before(who, one) if revoke else self.edit_before(who, one, 0)
        self.check()
        self.say_at_last(-1, one, alias)
        self.check()
        self.serve(who, one, None)

    def edit_twice(self, who: str, one: int, shifts: tuple[int | None, int | None], is_served: bool) -> None:
        """A message is edited twice, perhaps in the wrong order, or when the agent has it."""
        self._say(who, one)
        self.check()
        if is_served:
            self.serve(who, one, None)
        for shift_ms in shifts:
            self.check()
            self.edit(0, one, shift_ms)

    # How it is done

    def _be_strangers(self, who: str) -> None:
        """Nobody knows of two names that they are one person's."""
        if self.expected.linked(*NAMES[who][:2]):
            self.go_away()
            self.check()

    def _prepare(self, who: str, one: int, what: Before, media: bool) -> None:
        if what in ("said", "itself", "told", "fired", "served", "dead", "redriven", "paused"):
            self._say(who, one, alias=one if what in ("itself", "told") else None, media=media)
            self.check()
        if what == "copied" and any(note.who == who for note in self._last_notes()):
            self.repeat(0, one, one)
        elif what == "long":
            self._say_for_long(who, one)
        elif what == "fired":
            self.flush_now(who, one)
        elif what in ("served", "told", "dead", "redriven"):
            self.serve(who, one, None if what in ("served", "told") else "dead")
        elif what in ("paused", "taken"):
            self.pause(who, one, 400_000, takeover=what == "taken")
        elif what == "early":
            self.edit_before(who, one, 0)
        self.check()
        if what == "redriven":
            self._redrive_all()
        elif what == "told":
            self.ack(0)

    def _go_on(self, who: str, then: Then) -> None:
        if then == "claim":
            self._take_turns(who)
        elif then == "type":
            self.type(who, 1, "typing")
        elif then in ("flush_now", "discard", "resume"):
            getattr(self, then)(who, 1)
        elif then == "redrive":
            self._redrive_all()
        elif then == "change":
            self.edit(0, 1, 0)
            self.check()
            self.revoke(0, 1)
        elif then == "say_at_last":
            self.say_at_last(-1, 1, None)

    def _take_turns(self, who: str) -> None:
        """Whatever is held under both names is claimed; the workers end, the one that began first first."""
        for flights in (1, 0):
            self.ack(flights)
            self.check()
            self._say(who, 1)
            self.check()
            self.flush_now(who, 0)
            for one in (0, 1):
                self.check()
                self.claim(who, one)
            self.check()

    def _say(self, who: str, one: int, alias: int | None = None, media: bool = False) -> None:
        self.say(who, one, alias, count=1, media=media, album=False, shift_ms=0)

    def _say_for_long(self, who: str, one: int) -> None:
        """A burst that is nearly as old as the longest wait."""
        for ms in (75_000, 75_000):
            self._say(who, one)
            self.pass_time(ms)
            self.check()
        for ms in (95_000, 0):
            self.type(who, one, "typing")
            self.pass_time(ms)
            self.check()

    def _redrive_all(self) -> None:
        for index in range(len(self.picture.index("dead"))):
            self.redrive(index)
            self.check()

    def _last_notes(self) -> Sequence[SentMessage]:
        return self.requests[-1].notes if self.requests else []
