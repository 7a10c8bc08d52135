"""The gaps between the messages of a channel, estimated although its own answers end turns before one can see them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from buffer.insight_models import GAP_BUCKETS, GAP_FIRST_MS, GAP_RATIO
from buffer.window_policy import Gaps, gaps_between_turns

PSEUDO = 20
"""Messages that are added to those still silent, and of which as many go on as in the bucket before.

In a small channel a handful of explored messages tells of the long gaps. With 300 turns this brings the standard
deviation of the windows found from about 3 s to 2 s, at about the same mean."""

SEEN_MIN = 0.01
"""The gaps that fewer than this share of the messages could show are taken for none."""


READ_MAX = 20
"""The last bucket of read answers: nobody goes on later than 60 s."""

HELD_SEEN_MS = 7_000
"""A gap within a held burst counts as one if it is no longer than the window and this, else as a read answer there."""

STEPS_PER_E = (GAP_BUCKETS - 1) / math.log(GAP_RATIO)


def silent_bucket(silent_ms: float, luck: float) -> int:
    """Return to the end of which bucket nobody had gone on when an answer was read, as lua/include/burst.lua does.

    `luck`, from 0 to below 1, decides whether the bucket counts that was seen in part.
    """
    return math.floor(max(0.0, STEPS_PER_E * math.log(silent_ms / GAP_FIRST_MS)) + luck)


def unbiased(counts: Sequence[int], reads: Sequence[int], turns: int) -> Gaps:
    """Return the gaps to `turns` turns as they would be if nobody had read an answer before going on.

    `counts` are the gaps seen, `reads` the turns that began after a read answer, by the bucket to whose end the person
    had not gone on then (`silent_bucket`), both in the buckets of BOUNDS_MS["gap"]. How much longer nobody knows: a
    censored gap. This is the product-limit estimate for those (Kaplan and Meier, "Nonparametric estimation from
    incomplete observations", 1958): of the messages with no other after them at the begin of a bucket, the share that
    is followed by one within it is taken; an answer takes its message out at the end of its bucket. It holds if answers
    come as soon to those who would go on as to the others. Without read answers the counts are returned as they are.

    What began the other turns is another 60 s of silence, or nothing that is known: the ends of the latter are taken to
    be as those of all other turns.
    """
    seen = Gaps(tuple(counts), turns)
    between = gaps_between_turns(seen)
    known_ends = sum(reads) + between
    if not sum(reads):
        return seen
    weight = max(1.0, turns / known_ends)
    messages = silent = sum(counts) - between + known_ends * weight
    shares, left, hazard, pseudo = list[float](), 1.0, 0.0, 0
    for gaps, answers in zip(counts, reads, strict=True):
        hazard = (gaps + pseudo * hazard) / (silent + pseudo) if silent > SEEN_MIN * messages else 0.0
        shares.append(left * hazard)
        left -= shares[-1]
        silent -= gaps + answers * weight
        pseudo = PSEUDO if answers else pseudo
    ends = left + gaps_between_turns(Gaps(tuple(shares), 0))
    return Gaps(tuple(share * turns / ends for share in shares), turns)
