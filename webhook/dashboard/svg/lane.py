"""One lane of the timeline: a dot for each message, a bar for the open buffer, an end mark by its cause, the agent's
call, and each part of the reply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from markupsafe import Markup

from webhook.dashboard.svg.shapes import bar, dot, drawing, rule, text, titled
from webhook.dashboard.timeline import Burst, Lane
from webhook.dashboard.times import duration_text, short_text
from webhook.dashboard.words import counted, word

HEIGHT, MIDDLE = 28, 14
FUTURE = 0.08
"""The share of the drawing that is right of now: there a deadline comes nearer."""

PARTS_MAX = 8
AXIS_HEIGHT = 18

FATES = {"superseded": "↩", "dead": "✕", "discarded": "∅"}
"""The signs at the end of a burst that was not answered, by its outcome."""

REASONS = frozenset({"quiet", "max_wait", "max_messages", "max_bytes", "keyword", "manual", "disabled"})

Words = Mapping[str, str]


class Axis(NamedTuple):
    """The time that a drawing shows, up to now and a little further."""

    now_ms: int
    span_ms: int

    def place(self, moment_ms: float) -> float:
        """Return the share of the width at which a moment lies."""
        return (1 - FUTURE) * (1 + (moment_ms - self.now_ms) / self.span_ms)

    @property
    def parts(self) -> int:
        """Return into how many parts the scale is divided, so that each is round."""
        return {60_000: 4, 300_000: 5}.get(self.span_ms, 3)

    def shows(self, moment_ms: float) -> bool:
        """Return True if a moment is on the drawing."""
        return 0 <= self.place(moment_ms) <= 1


def lane_svg(lane: Lane, axis: Axis, words: Words) -> Markup:
    """Return the drawing of a lane."""
    label = "; ".join(burst_text(burst, words) for burst in lane.bursts[-3:])
    shapes = [shape for burst in lane.bursts for shape in _burst(burst, axis, words)]
    shapes += [dot("duplicate", axis.place(at_ms), MIDDLE, 3.5) for at_ms in lane.duplicates_ms if axis.shows(at_ms)]
    return drawing("lane", HEIGHT, label, [rule("nowline", axis.place(axis.now_ms), 0, HEIGHT), *shapes])


def burst_text(burst: Burst, words: Words) -> str:
    """Return a burst in a sentence, for those who do not see the drawing."""
    if burst.closed_ms is None:
        return words["lane_open"].format(n=counted(burst.messages, words))
    if burst.ended_ms is None:
        return words["lane_call"].format(n=counted(burst.messages, words))
    said = [counted(burst.messages, words), word(words, "r", burst.reason), word(words, "o", burst.outcome)]
    return ", ".join(filter(None, said))


def _burst(burst: Burst, axis: Axis, words: Words) -> Iterator[str]:
    open_end_ms = burst.closed_ms or axis.now_ms
    if axis.shows(open_end_ms):
        kind = "buffer" if burst.closed_ms else "buffer is-open"
        yield titled(bar(kind, axis.place(burst.opened_ms), axis.place(open_end_ms), 7, 14), burst_text(burst, words))
    if burst.due_ms is not None and burst.due_ms > axis.now_ms:
        yield bar("ahead", axis.place(axis.now_ms), axis.place(burst.due_ms), 13, 2)
    yield from (dot("message", axis.place(at_ms), MIDDLE, 3.5) for at_ms in burst.arrivals_ms if axis.shows(at_ms))
    yield from _call(burst, axis, words)
    yield from _end_mark(burst, axis, words)


def _call(burst: Burst, axis: Axis, words: Words) -> Iterator[str]:
    if burst.call_ms is None:
        return
    end_ms = burst.answered_ms or burst.ended_ms or axis.now_ms
    if axis.shows(end_ms):
        title = f"{words['lg_call']}: {duration_text(end_ms - burst.call_ms)}"
        kind = "call is-open" if burst.ended_ms is None else "call"
        yield titled(bar(kind, axis.place(burst.call_ms), axis.place(end_ms), 10, 8), title)
    if burst.ended_ms is not None:
        yield from _parts(burst, axis, end_ms, burst.ended_ms)


def _parts(burst: Burst, axis: Axis, start_ms: int, end_ms: int) -> Iterator[str]:
    """Draw the parts between the answer and the end: the history does not tell the moment of each."""
    kinds = ["part"] * burst.parts_sent + ["part in-doubt"] * burst.doubts
    shown = kinds[:PARTS_MAX]
    step_ms = (end_ms - start_ms) / max(1, len(shown))
    for number, kind in enumerate(shown, 1):
        at_ms = start_ms + step_ms * number
        if axis.shows(at_ms):
            yield bar(kind, axis.place(at_ms), axis.place(at_ms) + 0.005, 10, 8)


def _end_mark(burst: Burst, axis: Axis, words: Words) -> Iterator[str]:
    if burst.closed_ms is not None and axis.shows(burst.closed_ms):
        reason = burst.reason if burst.reason in REASONS else "other"
        yield titled(rule(f"end by-{reason}", axis.place(burst.closed_ms), 3, 25), word(words, "r", burst.reason))
    sign = FATES.get(burst.outcome)
    if sign is not None and burst.ended_ms is not None and axis.shows(burst.ended_ms):
        yield text(f"fate {burst.outcome}", axis.place(burst.ended_ms), 19, sign)


def axis_svg(axis: Axis, words: Words) -> Markup:
    """Return the scale below the lanes."""
    ages_ms = [axis.span_ms * part // axis.parts for part in range(axis.parts, 0, -1)]
    marks = [(axis.now_ms - age_ms, f"−{short_text(age_ms)}") for age_ms in ages_ms] + [(axis.now_ms, words["now"])]
    shapes = [
        text("tick first" if at == 0 else "tick", axis.place(ms), 13, told) for at, (ms, told) in enumerate(marks)
    ]
    return drawing("axis", AXIS_HEIGHT, words["last_minutes"].format(n=axis.span_ms // 60_000), shapes)
