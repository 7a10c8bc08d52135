"""What a fixed window would do to the turns of people, by the gaps between their messages."""

from __future__ import annotations

import math
from typing import NamedTuple

from buffer.censored_gaps import unbiased
from buffer.figures import Figures
from buffer.insight_models import BOUNDS_MS
from buffer.window_policy import TURNS_MIN, Gaps, gaps_beyond, split_share

WINDOWS_S = (3.0, 5.0, 8.0, 12.0)
"""Windows of the table, in seconds."""

SPLIT_SHARE_GOOD = 0.05
"""The share of split turns up to which a window is recommended: below it a longer wait brings little."""


class Outlook(NamedTuple):
    """What a fixed window would do. Everybody would wait for `window_s` after their last message."""

    window_s: float
    split_share: float
    premature_per_turn: float
    is_present: bool = False

    @property
    def calls_per_turn(self) -> float:
        """Return the calls of a turn on average."""
        return 1 + self.premature_per_turn


def outlooks(figures: Figures, present_s: float | None, *others_s: float) -> list[Outlook]:
    """Return what each of WINDOWS_S, the present window and `others_s` would do. Empty without gaps.

    docs/cli.md tells how it is computed.
    """
    gaps = gaps_of(figures)
    if gaps is None:
        return []
    windows_s = sorted({*WINDOWS_S, *others_s, *([present_s] if present_s else [])})
    return [outlook_of(gaps, one, one == present_s) for one in windows_s]


def outlook_of(gaps: Gaps, window_s: float, is_present: bool = False) -> Outlook:
    """Return what a window would do to turns with these gaps."""
    premature = gaps_beyond(gaps, window_s * 1000)
    return Outlook(window_s, split_share(premature, gaps.turns), premature / gaps.turns, is_present)


def gaps_of(figures: Figures) -> Gaps | None:
    """Return the gaps that there would be without answers, and their turns. None if none of either were counted."""
    found, reads = (figures.histograms.get(name) for name in ("gap", "gap:read"))
    if found is None or not found.count or not figures.gap_turns:
        return None
    return unbiased(found.counts, reads.counts if reads else (0,) * len(found.counts), figures.gap_turns)


def is_known(figures: Figures) -> bool:
    """Return True if there are enough turns in the histogram of gaps: of fewer, an outlook is a guess."""
    return figures.gap_turns >= TURNS_MIN


def recommended_s(figures: Figures) -> int | None:
    """Return the shortest window in whole seconds that splits few turns, None without enough turns."""
    gaps = gaps_of(figures)
    if gaps is None or not is_known(figures):
        return None
    longest_s = math.ceil(BOUNDS_MS["gap"][-1] / 1000)
    tried = (outlook_of(gaps, second) for second in range(1, longest_s + 1))
    return next((int(one.window_s) for one in tried if one.split_share <= SPLIT_SHARE_GOOD), None)
