"""Makes HTML of a snapshot. Everything that comes from people is escaped by the templates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from buffer.windows import ENGLISH, window_text
from webhook.dashboard.health import is_well
from webhook.dashboard.models import Ended, Snapshot, Waiting
from webhook.dashboard.svg.gaps import gaps_svg
from webhook.dashboard.svg.lane import Axis, axis_svg, lane_svg
from webhook.dashboard.svg.wait import wait_svg
from webhook.dashboard.timeline import lanes_of
from webhook.dashboard.times import count_text, duration_text, moment_text, short_text
from webhook.dashboard.view import MINUTES, View, chosen, options
from webhook.dashboard.words import HTML_LANGUAGES, WORDS, counted, word

FOLDER = Path(__file__).parent
PANELS = ("strip", "pending", "timeline", "history", "held", "tuning", "health")
"""The parts of the page that a stream replaces, each a template."""

HISTORY_MAX = 100
"""Records of the history that are shown."""

MINUTE_MS = 60_000
LATE_MS = 2_000
"""A deadline that has passed by less is now."""

ENVIRONMENT = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters.update(count=count_text, duration=duration_text, short=short_text, moment=moment_text)


def page_html(snapshot: Snapshot, view: View) -> str:
    """Return the whole page."""
    known = _known(snapshot, view)
    panels = {name: _panel(name, known) for name in PANELS}
    filters = options(snapshot.ended, view.filters)
    return ENVIRONMENT.get_template("page.html").render(known, panels=panels, options=filters)


class Earlier(NamedTuple):
    """The snapshot before, and its panels for a view."""

    snapshot: Snapshot
    panels: Mapping[str, str]


SHOWN: dict[str, Callable[[Snapshot], Any]] = {
    "pending": lambda found: (found.pending, found.strip.pending),
    "history": lambda found: found.ended,
    "held": lambda found: (found.dead_letters, found.doubts),
    "tuning": lambda found: found.tuning,
    "health": lambda found: found.health,
}
"""What a panel shows, of those that need not be drawn anew as long as it is the same."""


def panels_html(snapshot: Snapshot, view: View, earlier: Earlier | None = None) -> dict[str, str]:
    """Return the panels of the page by their names. Those of a live view may be taken from an earlier snapshot."""
    same = {}
    if earlier and view.is_live:
        same = {name: earlier.panels[name] for name, of in SHOWN.items() if of(snapshot) == of(earlier.snapshot)}
    known = _known(snapshot, view)
    return {name: same.get(name) or _panel(name, known) for name in PANELS}


def sign_in_html(view: View, *, is_wrong: bool = False, asks_again: bool = False) -> str:
    """Return the page that asks for the token. With `asks_again` it asks for the page once more by itself.

    A browser does not send its session with a link of another site, but with what this page asks for.
    """
    known = {"t": WORDS[view.language], "lang": HTML_LANGUAGES[view.language]}
    return ENVIRONMENT.get_template("sign_in.html").render(known, is_wrong=is_wrong, asks_again=asks_again)


def _panel(name: str, known: dict[str, Any]) -> str:
    return ENVIRONMENT.get_template(f"{name}.html").render(known)


def _known(snapshot: Snapshot, view: View) -> dict[str, Any]:
    """Return what the templates know."""
    words = WORDS[view.language]
    axis = Axis(snapshot.now_ms, view.minutes * MINUTE_MS)
    found = chosen(snapshot, view.filters)
    return {
        "s": snapshot,
        "view": view,
        "t": words,
        "lang": HTML_LANGUAGES[view.language],
        "word": partial(word, words),
        "lanes": lanes_of(snapshot, axis.span_ms),
        "lane_svg": partial(lane_svg, axis=axis, words=words),
        "axis_svg": partial(axis_svg, axis, words),
        "gaps_svg": partial(gaps_svg, words=words),
        "wait_svg": partial(_wait, snapshot, view),
        "ago": partial(_ago, snapshot, view),
        "due": partial(_due, snapshot, view),
        "span_ms": _span_ms,
        "window": partial(window_text, words={name: words[f"w_{name}"] for name in ENGLISH}),
        "records": found[:HISTORY_MAX],
        "minutes": MINUTES,
        "messages_shown": _messages(snapshot.pending),
        "counted": partial(counted, words=words),
        "is_well": is_well(snapshot),
    }


def _wait(snapshot: Snapshot, view: View, found: Waiting) -> Markup:
    now_ms = (found.opened_ms or 0) if view.is_live else snapshot.now_ms
    return wait_svg(found, now_ms, WORDS[view.language])


def _ago(snapshot: Snapshot, view: View, moment_ms: int) -> Markup:
    """Return how long ago a moment is."""
    text = WORDS[view.language]["ago"].format(t=short_text(snapshot.now_ms - moment_ms))
    return _time("ago", moment_ms, "" if view.is_live else text)


def _due(snapshot: Snapshot, view: View, moment_ms: int) -> Markup:
    """Return how soon a moment is."""
    words, left_ms = WORDS[view.language], moment_ms - snapshot.now_ms
    text = words["due_now"]
    if left_ms > 0:
        text = words["due_in"].format(t=duration_text(left_ms))
    elif left_ms < -LATE_MS:
        text = words["due_ago"].format(t=short_text(-left_ms))
    return _time("due", moment_ms, "" if view.is_live else text)


def _time(kind: str, moment_ms: int, text: str) -> Markup:
    moment = moment_text(moment_ms)
    attributes = f'datetime="{moment}" title="{moment}" data-{kind}-ms="{moment_ms:d}"'
    return Markup(f"<time {attributes}>{escape(text)}</time>")  # noqa: S704 -- `Markup.format` takes ten times as long


def _span_ms(record: Ended) -> int | None:
    """Return the time from the first to the last message."""
    if record.opened_ms is None or record.last_ms is None or record.messages < 2:
        return None
    return max(0, record.last_ms - record.opened_ms)


def _messages(rows: Iterable[Waiting]) -> int:
    return sum(row.messages for row in rows)
