"""The histogram of the gaps between messages, on a logarithmic scale, with lines at the present and the recommended
window, and one that the slider moves."""

from __future__ import annotations

import math
from collections.abc import Mapping

from markupsafe import Markup

from webhook.dashboard.models import Tuning
from webhook.dashboard.svg.shapes import bar, drawing, rule, text, titled

HEIGHT, TOP, BASE = 190, 22, 168
TICKS_S = (0.25, 1, 3, 8, 20, 50, 120)
EDGE = 0.75
"""The place behind which a label has no room to the right."""

FIRST_S, LAST_S = 0.2, 120.0
"""The ends of the scale. live.js has the same two numbers."""


def place_of(seconds: float) -> float:
    """Return the share of the width at which a gap lies."""
    return math.log(max(seconds, FIRST_S) / FIRST_S) / math.log(LAST_S / FIRST_S)


def gaps_svg(tuning: Tuning, words: Mapping[str, str]) -> Markup:
    """Return the drawing."""
    bars = [_bar(tuning, at) for at, count in enumerate(tuning.counts) if count]
    ticks = [text(_tick_kind(at), place_of(second), BASE + 16, f"{second:g} s") for at, second in enumerate(TICKS_S)]
    label = words["gaps_note"].format(n=tuning.gaps)
    return drawing("gaps", HEIGHT, label, [*bars, *_lines(tuning, words), *ticks])


def _tick_kind(at: int) -> str:
    return {0: "tick first", len(TICKS_S) - 1: "tick last"}.get(at, "tick")


def _bar(tuning: Tuning, at: int) -> str:
    """Return the bar of a bucket. Gaps above the present window split a burst."""
    end_s = tuning.bounds_ms[at] / 1000
    start_s = tuning.bounds_ms[at - 1] / 1000 if at else FIRST_S
    height = max(2.0, (BASE - TOP) * tuning.counts[at] / max(tuning.counts))
    kind = "gap splits" if tuning.present_s is not None and end_s > tuning.present_s else "gap"
    shape = bar(kind, place_of(start_s) + 0.002, place_of(end_s) - 0.002, BASE - height, height)
    return titled(shape, f"{start_s:.1f}–{end_s:.1f} s: {tuning.counts[at]}")


def _lines(tuning: Tuning, words: Mapping[str, str]) -> list[str]:
    found = []
    if tuning.recommended_s is not None and tuning.recommended_s != tuning.present_s:
        place = place_of(tuning.recommended_s)
        side = "left-of" if tuning.present_s and tuning.recommended_s < tuning.present_s else "right-of"
        found += [
            rule("at recommended", place, TOP - 8, BASE),
            text(f"mark recommended {side}", place, 10, f"{words['recommended']} {tuning.recommended_s} s"),
        ]
    if tuning.present_s is not None:
        place = place_of(tuning.present_s)
        is_left = place > EDGE or (tuning.recommended_s is not None and tuning.recommended_s > tuning.present_s)
        told = f"{words['now']} {tuning.present_s:g} s"
        found += [
            rule("at present", place, TOP - 8, BASE),
            text(f"mark present {'left-of' if is_left else 'right-of'}", place, 22 if place > EDGE else 10, told),
        ]
    found.append(rule("at trial", place_of(tuning.present_s or FIRST_S), TOP, BASE))
    return found
