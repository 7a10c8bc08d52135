"""The shapes of a drawing. Places along x are shares of its width, so that it fits any screen; sizes are pixels."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape


def percent(share: float) -> str:
    """Return a share between 0 and 1 as a percentage. One outside is moved to the edge."""
    return f"{min(1.0, max(0.0, share)) * 100:.2f}%"


def titled(shape: str, title: str) -> Markup:
    """Return a shape, which ends in `/>`, with a title for the pointer and for screen readers."""
    name = shape[1:].partition(" ")[0]
    return Markup(f"{shape[:-2]}><title>{escape(title)}</title></{name}>")


def drawing(kind: str, height: int, label: str, shapes: Iterable[str]) -> Markup:
    """Return an SVG as wide as its place."""
    head = f'<svg class="{escape(kind)}" width="100%" height="{height:d}" role="img" aria-label="{escape(label)}">'
    return Markup(f"{head}{''.join(shapes)}</svg>")


def bar(kind: str, start: float, end: float, top: float, height: float) -> str:
    """Return a bar between two shares. It is at least 2 px wide, for its border."""
    width = max(0.0, min(1.0, end) - min(1.0, max(0.0, start)))
    return (
        f'<rect class="{escape(kind)}" x="{percent(start)}" y="{top:g}" width="{percent(width)}" '
        f'height="{height:g}" rx="2"/>'
    )


def dot(kind: str, place: float, middle: float, radius: float) -> str:
    """Return a dot."""
    return f'<circle class="{escape(kind)}" cx="{percent(place)}" cy="{middle:g}" r="{radius:g}"/>'


def rule(kind: str, place: float, top: float, bottom: float) -> str:
    """Return an upright line."""
    x = percent(place)
    return f'<line class="{escape(kind)}" x1="{x}" x2="{x}" y1="{top:g}" y2="{bottom:g}"/>'


def text(kind: str, place: float, base: float, words: str) -> str:
    """Return a text whose CSS class decides where it is anchored."""
    return f'<text class="{escape(kind)}" x="{percent(place)}" y="{base:g}">{escape(words)}</text>'
