"""The page of the metrics, written from the code: `python -m tests.metrics_docs` updates docs/metrics.md."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gateways.ignored import IGNORED_REASONS
from webhook.left_out import SETTINGS_REASONS
from webhook.metrics.table import Kind, Metric, metrics
from webhook.rejected import REJECTED_REASONS

PAGE = Path(__file__).parents[1] / "docs/metrics.md"
BEGIN, END = "<!-- written from the code -->\n", "<!-- end -->\n"

HEADINGS: dict[Kind, str] = {
    "gauge": "Gauges",
    "counter": "Counters",
    "histogram": "Histograms",
    "gauge histogram": "Gaps",
}
HEADER = "| Metric | Labels | Meaning |\n|---|---|---|"
REASONS_HEADER = "| Reason | Meaning |\n|---|---|"

STATUS_REASONS = {
    "unchanged": "an edit, a revoke or a typing event that changed nothing",
    "discarded": "a message that a human's takeover discarded",
    "revoked": "a message whose author had deleted it before it came",
    "stale": "a message older than MESSAGE_MAX_AGE",
}
"""Reasons for which a message is ignored after it was read, besides those of the settings."""

IGNORED = {**SETTINGS_REASONS, **STATUS_REASONS, **IGNORED_REASONS}


def tables() -> str:
    """Return everything of the page that follows from the code."""
    parts = [f"### {heading}\n\n{_table(kind)}\n" for kind, heading in HEADINGS.items()]
    parts.append(f"### Why a request is rejected\n\n{_reasons(REJECTED_REASONS.items())}\n")
    parts.append(f"### Why a message or event is ignored\n\n{_reasons(IGNORED.items())}\n")
    return "\n".join(parts)


def page(text: str) -> str:
    """Return the text of the page with its tables made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables()}\n{END}{after}"


def _table(kind: Kind) -> str:
    return "\n".join([HEADER, *(_row(metric) for metric in metrics() if metric.kind == kind)])


def _row(metric: Metric) -> str:
    name = metric.full_name + ("_total" if metric.kind == "counter" else "")
    return f"| `{name}` | {', '.join(metric.labels)} | {metric.help} |"


def _reasons(reasons: Iterable[tuple[str, str]]) -> str:
    return "\n".join([REASONS_HEADER, *(f"| `{reason}` | {meaning} |" for reason, meaning in reasons)])


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
