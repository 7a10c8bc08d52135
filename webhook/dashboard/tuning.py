"""How long the wait is, and what fixed windows would do, for the page. buffer/figures.py and outlooks.py count."""

from __future__ import annotations

from buffer.figures import Figures
from buffer.outlooks import Outlook, gaps_of, is_known, outlook_of, outlooks, recommended_s
from buffer.present_policy import PresentPolicy
from webhook.dashboard.models import Choice, Live, Tuning

TRIAL_S = range(1, 61)
"""The windows that the page's slider offers, in seconds."""


def tuning_of(figures: Figures, policy: PresentPolicy) -> Tuning:
    """Return what the turns and the gaps say about the wait."""
    present_s, live, gaps = policy.window_s, live_of(figures), gaps_of(figures)
    if gaps is None:
        return Tuning(policy, live)
    seen = figures.histograms["gap"]
    best_s = None if policy.kind == "auto" else recommended_s(figures)
    fixed_s = present_s if policy.kind == "fixed" else None
    found = outlooks(figures, fixed_s, *([float(best_s)] if best_s else []))
    trial = [outlook_of(gaps, second) for second in TRIAL_S]
    return Tuning(
        policy=policy,
        live=live,
        gaps=seen.count,
        gap_turns=gaps.turns,
        is_known=is_known(figures),
        bounds_ms=seen.bounds_ms,
        counts=seen.counts,
        present_s=present_s,
        recommended_s=best_s,
        choices=[_choice(one, best_s) for one in found],
        trial=[(round(one.split_share, 4), round(one.premature_per_turn, 3)) for one in trial],
    )


def live_of(figures: Figures) -> Live:
    """Return what was counted of the turns."""
    return Live(
        turns=figures.turns,
        split_share=figures.split_share,
        premature_per_turn=figures.premature_per_turn,
        wait_mean_ms=figures.mean_ms("wait_ms"),
        wait_p90_at_most_ms=figures.at_most_ms("wait_ms", 0.9),
        reply_mean_ms=figures.mean_ms("reply_ms"),
        reply_p90_at_most_ms=figures.at_most_ms("reply_ms", 0.9),
        calls_per_turn=figures.calls_per_turn,
        restarts=figures.restarts,
    )


def _choice(outlook: Outlook, best_s: int | None) -> Choice:
    return Choice(
        window_s=outlook.window_s,
        split_share=outlook.split_share,
        premature_per_turn=outlook.premature_per_turn,
        calls_per_turn=outlook.calls_per_turn,
        is_present=outlook.is_present,
        is_recommended=outlook.window_s == best_s,
    )
