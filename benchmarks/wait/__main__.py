"""Run `make bench-wait`: replay recorded conversations under each policy, print the tables, write docs/the-wait.md.

With `--data FILE`, as often as wished, other conversations are replayed and the tables are only printed.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.plots import Trace, draw_wait
from benchmarks.wait.conversations import BadData, Conversation, read_conversations
from benchmarks.wait.page import goal_table, levers_table, policies_table, write_tables
from benchmarks.wait.policies import AUTO, BASELINE, FAMILIES, TABLE, Policy
from benchmarks.wait.scores import Score, figures, score_all
from benchmarks.wait.training import divide, windows_by_day

DATA = Path(__file__).parents[1] / "data"
FILES = (DATA / "chitchat.csv.gz", DATA / "meetup.csv.gz")
"""The data of the page, the one of the picture first."""

SAMPLED_CONVERSATIONS = 500
"""Of so many conversations of each part the curves are made: they have many policies, and need no intervals."""

DAYS_SHOWN = 8

Part = list[Conversation]


def main() -> None:
    """Replay the conversations of each file."""
    parser = argparse.ArgumentParser(prog="benchmarks.wait", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--data", type=Path, action="append", metavar="FILE", help="CSV file, as benchmarks/data/README.md"
    )
    given: list[Path] | None = parser.parse_args().data
    began = time.monotonic()
    try:
        sections = [_section(path, is_drawn=given is None and path == FILES[0]) for path in given or FILES]
    except (BadData, OSError) as error:
        sys.exit(str(error))
    if given is None:
        day = datetime.datetime.now(datetime.UTC).date().isoformat()
        write_tables(f"\nMade on {day}.\n" + "".join(sections))
    print(f"{time.monotonic() - began:.0f} s")


def _section(path: Path, is_drawn: bool) -> str:
    """Return the tables of a file, and print them."""
    training, rest = divide(read_conversations(path))
    if not training or not rest:
        raise BadData(f"{path.name}: there must be two conversations at least")
    scores = score_all(TABLE, training, rest)
    traces, chosen = _families(training, rest)
    baseline = next(one for one in scores if one.policy == BASELINE)
    if is_drawn:
        split, _, _, wait_s, _ = figures(baseline)
        draw_wait(traces, (wait_s / 2, split * 100))
    name = path.name.partition(".")[0]
    turns, learnt = (sum(len(one.turns) for one in part) for part in (rest, training))
    learnt_of = f"learnt from {learnt:,} turns of {len(training):,} others"
    text = "\n".join(
        [
            f"\n### {name}\n",
            f"{turns:,} turns of {len(rest):,} conversations, {learnt_of}.\n",
            policies_table(scores),
            goal_table(scores),
            levers_table(chosen, baseline),
            _by_day(training),
        ]
    )
    print(text, flush=True)
    return text


def _families(training: Part, rest: Part) -> tuple[list[Trace], dict[str, tuple[Policy, Score] | None]]:
    """Return the curve of each family over the rest, and its best setting, chosen on the training part."""
    policies = [policy for family in FAMILIES.values() for policy in family]
    sampled = [_sample(part) for part in (training, rest)]
    here, there = (iter(score_all(policies, training, part)) for part in sampled)
    baseline = score_all([BASELINE], training, sampled[0])[0]
    traces, chosen = [], {}
    for name, family in FAMILIES.items():
        learnt, replayed = [next(here) for _ in family], [next(there) for _ in family]
        traces.append(Trace(name, [(one.wait_s, one.split * 100) for one in map(figures, replayed)]))
        if name == "fixed window":
            continue
        best = min(_as_good(learnt, baseline), key=lambda at: figures(learnt[at]).wait_s, default=None)
        chosen[name] = None if best is None else (family[best], replayed[best])
    return traces, chosen


def _as_good(learnt: list[Score], baseline: Score) -> Iterator[int]:
    """Yield which settings had neither more split turns nor more premature answers than the baseline."""
    most = figures(baseline)
    for at, one in enumerate(map(figures, learnt)):
        if one.split <= most.split and one.premature <= most.premature:
            yield at


def _sample(part: Part) -> Part:
    return part[:: max(1, len(part) // SAMPLED_CONVERSATIONS)]


def _by_day(training: Part) -> str:
    """Return to which windows a channel comes day by day, and to which if it believed the gaps that it sees."""
    policy = Policy("auto: channel", auto=AUTO, agent_ms=2_000)
    corrected, seen = (
        ", ".join(f"{one / 1000:.1f}" for one in windows_by_day(training, policy, DAYS_SHOWN, is_corrected))
        for is_corrected in (True, False)
    )
    return (
        f"The window of the channel day by day, with an agent of 2 s: {corrected} s.\n"
        f"If it took the gaps that it sees for all there are: {seen} s.\n"
    )


if __name__ == "__main__":
    main()
