"""docs/metrics.md, the Grafana board and the alerts use the metrics that exist, and all of them are documented."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import promql_parser
import pytest
import yaml

from buffer.models import AppendStatus
from tests.metrics_docs import IGNORED, PAGE, STATUS_REASONS, page
from webhook.left_out import UNTOLD
from webhook.metrics.table import metrics

DEPLOY = Path(__file__).parents[2] / "deploy"
BOARD: dict[str, Any] = json.loads((DEPLOY / "grafana.json").read_text(encoding="utf-8"))
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
LABELS = {name: {*metric.labels, "le"} for metric in metrics() for name in metric.sample_names}
REPLICATED = "the same from every replica: max first"
SEVERITIES = {"critical", "warning", "info"}
ALERTED = {
    "oldest_overdue_seconds",
    "dead_letters_kept",
    "doubts_open",
    "channel_held",
    "agent_held",
    "workers",
    "answers_again_total",
    "turns_split_total",
    "queue_readable",
}
"""The metrics for which there must be an alert."""


def board_queries() -> list[str]:
    """Return the queries of all panels, with Grafana's variables replaced as Grafana does it."""
    queries = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]
    return [query.replace("$__rate_interval", "5m").replace("$gateway", ".*") for query in queries]


QUERIES = [*board_queries(), *(rule["expr"] for rule in RULES)]


def nodes(expression: Any) -> Iterator[Any]:
    """Yield a PromQL expression and all inside it."""
    yield expression
    for name in ("lhs", "rhs", "expr", "args", "vector_selector", "param"):
        inner = getattr(expression, name, None)
        for each in inner if isinstance(inner, list) else [inner]:
            if each is not None:
                yield from nodes(each)


def wrong_names(query: str) -> list[str]:
    """Return the metrics of a query that do not exist, and the labels that its metrics do not have."""
    found = list(nodes(promql_parser.parse(query)))
    selectors = [node for node in found if isinstance(node, promql_parser.VectorSelector)]
    wrong = [str(one.name) for one in selectors if one.name not in LABELS]
    known = set().union(*(LABELS.get(str(one.name), set()) for one in selectors))
    matched = {matcher.name for one in selectors for matcher in one.matchers.matchers}
    grouped = {label for node in found if isinstance(node, promql_parser.AggregateExpr) for label in by(node)}
    return wrong + sorted((matched | grouped) - known)


def by(node: promql_parser.AggregateExpr) -> list[str]:
    return list(node.modifier.labels) if node.modifier else []


def adds_replicas(query: str) -> bool:
    """Return True if a query adds up what each replica of the webhook repeats."""
    return any(
        isinstance(node, promql_parser.AggregateExpr)
        and str(node.op) == "sum"
        and not (isinstance(node.expr, promql_parser.AggregateExpr) and str(node.expr.op) == "max")
        for node in nodes(promql_parser.parse(query))
    )


def names_in(query: str) -> set[str]:
    return {str(node.name) for node in nodes(promql_parser.parse(query)) if hasattr(node, "matchers")}


def test_the_page_is_that_of_the_code():
    """Every metric and reason of the code is on the page, with its meaning."""
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(text), "run `python -m tests.metrics_docs`"
    assert all(f"`{metric.full_name}" in text for metric in metrics())


def test_every_reason_of_an_ignored_message_is_documented():
    """The statuses of append, and the reasons that are not told in a log line, have their meaning on the page."""
    assert {*get_args(AppendStatus)} - {"new", "duplicate", "full", "broken"} <= set(IGNORED)
    assert set(UNTOLD) <= set(IGNORED)
    assert set(STATUS_REASONS) <= set(UNTOLD)


@pytest.mark.parametrize("query", QUERIES)
def test_queries_use_what_exists(query: str):
    """A query is valid PromQL, its metrics and their labels exist, and it does not add up the replicas."""
    assert wrong_names(query) == []
    assert not adds_replicas(query)


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("max(debouncer_workers)", []),
        ("max(debouncer_worker)", ["debouncer_worker"]),
        ("rate(debouncer_acked[5m])", ["debouncer_acked"]),
        ('max by (chanel) (debouncer_channel_held{gatway="a"})', ["chanel", "gatway"]),
        ("max(debouncer_workers) / (1 + max(debouncer_x))", ["debouncer_x"]),
    ],
)
def test_the_rule_can_fail(query: str, wrong: list[str]):
    """The rule finds a wrong name wherever it stands."""
    assert wrong_names(query) == wrong


def test_the_rule_of_replicas_can_fail():
    """A sum needs a max inside."""
    assert adds_replicas("sum(rate(debouncer_acked_total[5m]))")
    assert not adds_replicas("sum(max by (gateway) (rate(debouncer_acked_total[5m])))")


def test_invalid_promql_is_refused():
    """The parser is a real one."""
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        promql_parser.parse("max(debouncer_workers")


def test_what_must_be_alerted_is():
    """Each metric to be called for has an alert."""
    alerted = set().union(*(names_in(rule["expr"]) for rule in RULES))
    assert {f"debouncer_{name}" for name in ALERTED} <= alerted


def test_rules_are_complete():
    """An alert has a name of its own, a known severity, and says what it is and what to do."""
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert set(rule) - {"for"} == {"alert", "expr", "labels", "annotations"}
        assert rule["labels"]["severity"] in SEVERITIES
        assert set(rule["annotations"]) == {"summary", "description"}


def test_the_board_is_complete():
    """Every panel has an id and a place of its own, a title, an explanation and the data source of the board."""
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert 8 <= len(panels) <= 17
    taken = [cell for panel in panels for cell in cells(panel["gridPos"])]
    assert len(set(taken)) == len(taken)
    assert all(0 <= x < 24 for x, _ in taken)
    for panel in panels:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
    assert {variable["name"] for variable in BOARD["templating"]["list"]} == {"datasource", "gateway"}


def cells(place: dict[str, int]) -> list[tuple[int, int]]:
    columns = range(place["x"], place["x"] + place["w"])
    return [(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])]
