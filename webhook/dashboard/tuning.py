"""What another window would do, for the page. buffer/figures.py has the arithmetic."""

from __future__ import annotations

from buffer.figures import Figures, Outlook, outlook_of, outlooks, recommended_s
from webhook.dashboard.models import Choice, Tuning

TRIAL_S = range(1, 61)
"""The windows that the page's slider offers, in seconds."""


def tuning_of(figures: Figures, present_s: float | None) -> Tuning:
    """Return what the gaps say about the window. `present_s` is None if the channels have several windows."""
    gaps, per_burst = figures.histograms.get("gap"), figures.gaps_per_burst
    if gaps is None or not gaps.count or per_burst is None:
        return Tuning(present_s=present_s)
    best_s = recommended_s(figures)
    found = outlooks(figures, present_s, *([float(best_s)] if best_s else []))
    trial = [outlook_of(gaps, per_burst, second) for second in TRIAL_S]
    return Tuning(
        gaps=gaps.count,
        bounds_ms=gaps.bounds_ms,
        counts=gaps.counts,
        present_s=present_s,
        recommended_s=best_s,
        choices=[_choice(one, present_s, best_s) for one in found],
        trial=[(round(one.split_share, 4), round(one.calls_per_burst, 3)) for one in trial],
    )


def _choice(outlook: Outlook, present_s: float | None, best_s: int | None) -> Choice:
    return Choice(
        window_s=outlook.window_s,
        split_share=outlook.split_share,
        calls_per_burst=outlook.calls_per_burst,
        later_s=None if present_s is None else outlook.window_s - present_s,
        is_present=outlook.is_present,
        is_recommended=outlook.window_s == best_s,
    )
