"""The tables of the wait, and their place in docs/the-wait.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.plots import DOCS
from benchmarks.wait.policies import BASELINE, EVERYTHING, Policy
from benchmarks.wait.scores import Figures, Interval, Score, figures, interval, samples

PAGE = DOCS / "the-wait.md"
BEGIN, END = "<!-- made by make bench-wait -->\n", "<!-- end of what make bench-wait makes -->\n"
"""What stands between these lines is written anew. People wrote the rest."""

Weights = Sequence[Sequence[int]]


def write_tables(text: str, path: Path = PAGE) -> None:
    """Put the tables between the two marks of the page. Raises ValueError if the page lacks one."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path.name} lacks the line {((begin and END) or BEGIN).strip()!r}")
    path.write_text(before + BEGIN + text + END + after, encoding="utf-8")


def policies_table(scores: Sequence[Score]) -> str:
    """Return what each policy did, with 95 % intervals over conversations."""
    weights = list(samples(len(scores[0].sums)))
    lines = [
        "| policy | split turns | premature answers per turn | wait, mean | p90 | reply latency | calls per turn |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    return "\n".join(lines + [_policy_row(one, weights) for one in scores]) + "\n"


def _policy_row(score: Score, weights: Weights) -> str:
    drawn = [figures(score, some) for some in weights]
    one = figures(score)
    split, premature, wait = (_interval(drawn, name) for name in ("split", "premature", "wait_s"))
    return (
        f"| {score.policy.name} | {one.split:.1%} [{split.low * 100:.1f}, {split.high * 100:.1f}] "
        f"| {one.premature:.3f} [{premature.low:.3f}, {premature.high:.3f}] "
        f"| {one.wait_s:.1f} s [{wait.low:.1f}, {wait.high:.1f}] | {score.p90_ms / 1000:.1f} s "
        f"| {one.latency_s:.1f} s | {one.calls:.2f} |"
    )


def _interval(drawn: Sequence[Figures], name: str) -> Interval:
    return interval([float(getattr(one, name)) for one in drawn])


def goal_table(scores: Sequence[Score]) -> str:
    """Return whether the policies with everything reach the goal, compared sample by sample with a fixed 8 s."""
    named = {score.policy: score for score in scores}
    weights = list(samples(len(scores[0].sums)))
    lines = [
        "| against fixed 8 s | split turns × | premature answers × | mean wait × | goal |",
        "|---|---:|---:|---:|---|",
    ]
    return "\n".join(lines + [_goal_row(named[one], named[BASELINE], weights) for one in EVERYTHING]) + "\n"


def _goal_row(score: Score, baseline: Score, weights: Weights) -> str:
    here, there = figures(score), figures(baseline)
    pairs = [(figures(score, some), figures(baseline, some)) for some in weights]
    cells, is_met = [], True
    for name, most in (("split", 1.0), ("premature", 1.0), ("wait_s", 0.5)):
        spread = interval([getattr(one, name) / getattr(other, name) for one, other in pairs])
        is_met = is_met and spread.high <= most
        cells.append(f"{getattr(here, name) / getattr(there, name):.2f} [{spread.low:.2f}, {spread.high:.2f}]")
    return f"| {score.policy.name} | {' | '.join(cells)} | {'met' if is_met else 'not met'} |"


def levers_table(chosen: dict[str, tuple[Policy, Score] | None], baseline: Score) -> str:
    """Return what each family needs to be as good as a fixed 8 s: the setting, and the wait that it costs.

    `chosen` holds for each family the setting, chosen on the training part, and what it did to the rest; None if no
    setting was as good.
    """
    lines = [
        "| lever | setting | mean wait | split turns | premature answers per turn | calls per turn |",
        "|---|---|---:|---:|---:|---:|",
    ]
    rows = [_lever_row("none", "fixed 8 s, to compare with", figures(baseline))]
    for family, found in chosen.items():
        rows.append(
            f"| {family} | none is as good | | | | |"
            if found is None
            else _lever_row(family, found[0].name, figures(found[1]))
        )
    return "\n".join(lines + rows) + "\n"


def _lever_row(family: str, setting: str, one: Figures) -> str:
    return f"| {family} | {setting} | {one.wait_s:.1f} s | {one.split:.1%} | {one.premature:.3f} | {one.calls:.2f} |"
