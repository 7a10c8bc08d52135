"""The bar of a conversation that waits: from the opening of its burst to the cap, with a mark at the quiet deadline."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from webhook.dashboard.models import Waiting
from webhook.dashboard.svg.shapes import bar, drawing, rule

HEIGHT = 12


def wait_svg(found: Waiting, now_ms: int, words: Mapping[str, str]) -> Markup:
    """Return the drawing, nothing for a conversation without an open burst. live.js moves the bar on."""
    if found.opened_ms is None or found.cap_ms is None or found.cap_ms <= found.opened_ms:
        return Markup("")
    whole_ms = found.cap_ms - found.opened_ms
    shapes = [
        bar("track", 0, 1, 4, 4),
        bar("gone", 0, (now_ms - found.opened_ms) / whole_ms, 4, 4),
        rule("cap", 1, 1, 11),
    ]
    if found.state == "open":
        shapes.append(rule("quiet", (found.due_ms - found.opened_ms) / whole_ms, 0, 12))
    return drawing("wait", HEIGHT, words["window"], shapes)
