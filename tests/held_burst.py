"""What a typing signal makes of an open burst, in the words of buffer/deadlines.py."""

from __future__ import annotations

from typing import NamedTuple

from buffer.deadlines import hold_deadline_ms, let_go_deadline_ms
from buffer.presence import PresenceKind
from config.settings import Settings


class HeldBurst(NamedTuple):
    """An open burst that has not fired. `quiet_ms` is its last message plus the window that this began."""

    opened_ms: int
    quiet_ms: int
    deadline_ms: int
    is_held: bool = False
    has_let_go: bool = False

    def after(self, kind: PresenceKind, now_ms: int, settings: Settings) -> HeldBurst:
        """Return the burst after a signal, the same one if it changes nothing."""
        return self._held(now_ms, settings) if kind == "typing" else self._let_go(now_ms, settings)

    def _held(self, now_ms: int, settings: Settings) -> HeldBurst:
        hold_ms = settings.typing_hold_ms
        deadline_ms = hold_deadline_ms(now_ms, self.opened_ms, hold_ms, settings.max_wait_ms, self.deadline_ms)
        if not hold_ms or deadline_ms == self.deadline_ms:
            return self
        return self._replace(deadline_ms=deadline_ms, is_held=True, has_let_go=False)

    def _let_go(self, now_ms: int, settings: Settings) -> HeldBurst:
        is_the_holds = self.deadline_ms > max(now_ms, self.quiet_ms)
        if not self.is_held or self.has_let_go or not is_the_holds:
            return self
        deadline_ms = let_go_deadline_ms(
            now_ms, self.opened_ms, self.quiet_ms, settings.typing_grace_ms, settings.max_wait_ms
        )
        return self._replace(deadline_ms=deadline_ms, has_let_go=True)
