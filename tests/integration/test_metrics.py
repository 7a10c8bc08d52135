"""/metrics tells what really happened, and a kill -9 of every process changes nothing of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.agent import Answer
from tests.integration.deployment import CRASHES, Deployment
from tests.integration.polling import until
from tests.integration.processes import Webhook
from tests.servers import Server

PHONE = "5511900000001"
MASKED = "5511*******01"
BURST = {"ana": 3, "bia": 1, "caio": 2, "davi": 2}
"""How many messages each person sends. Nobody pauses, so each is one burst."""

WRONG: list[tuple[str, str, bytes, int]] = [
    ("generic?token=wrong", "generic unauthorized", b"{}", 401),
    ("generic?token=wrong", "generic unauthorized", b"{}", 401),
    ("generic", "generic bad_request", b"[", 400),
    ("outro", "- unknown_gateway", b"{}", 404),
    ("waha", "waha gateway_closed", b"{}", 404),
]
IGNORED = b'{"event": "connection.update", "instance": "loja", "data": {}}'


class Metrics:
    """One scrape."""

    def __init__(self, webhook: Webhook) -> None:
        response = webhook.get("/metrics")
        assert response.status_code == 200, response.text
        self.text = response.text
        self._samples = [sample for family in text_string_to_metric_families(self.text) for sample in family.samples]

    def sum_of(self, name: str, **labels: str) -> float:
        """Return the sum of the samples with this name and these labels."""
        found = [one.value for one in self._samples if one.name == f"debouncer_{name}" and matches(one.labels, labels)]
        return sum(found)

    def by(self, name: str, *labels: str) -> dict[str, float]:
        """Return the samples with this name, by their labels."""
        found = [one for one in self._samples if one.name == f"debouncer_{name}" and one.value]
        return {" ".join(one.labels[label] for label in labels): one.value for one in found}


def matches(labels: dict[str, str], wanted: dict[str, str]) -> bool:
    return labels.items() >= wanted.items()


def post(webhook: Webhook, path: str, body: bytes) -> httpx.Response:
    headers = {"Authorization": ""} if "token=" in path else {}
    url = f"http://127.0.0.1:{webhook.port}/webhooks/{path}"
    return webhook.client.post(url, content=body, headers=headers)


def say_all(webhook: Webhook) -> Counter[str]:
    """Post each person's burst twice, as a gateway does that got no answer. Return what the webhook said of it."""
    said: Counter[str] = Counter()
    for _ in range(2):
        for name, messages in BURST.items():
            burst = [
                {"conversation": name, "channel": PHONE, "text": "oi", "message_id": f"{name}-{i}"}
                for i in range(messages)
            ]
            said.update(webhook.post(burst).json())
    return said


def test_a_scrape_is_what_happened(
    start_deployment: Callable[..., Deployment], start_server: Callable[..., Server]
) -> None:
    """The counts of webhook, scripts and workers equal the requests, answers and calls that were recorded."""
    server = start_server(appendonly="yes", appendfsync="always")
    deployment = start_deployment(server, **CRASHES)
    deployment.agent.answer("bia", Answer(500), Answer(200))
    deployment.agent.answer("caio", Answer(400))
    deployment.agent.answer("davi", Answer(held=True))
    webhook, worker = deployment.webhook(2), deployment.worker()

    said = say_all(webhook)
    assert [post(webhook, path, body).status_code for path, _, body, _ in WRONG] == [status for *_, status in WRONG]
    assert post(webhook, "evolution", IGNORED).status_code == 200
    rejected = Counter(reason for _, reason, _, _ in WRONG)
    until("the processes have added their counts", lambda: rejected_in(Metrics(webhook)) == rejected)
    deployment.wait_calls("davi")
    deployment.wait_drained(left=1)
    metrics = Metrics(webhook)
    assert (metrics.sum_of("conversations_pending"), metrics.sum_of("workers")) == (1, 1)

    for process in (webhook, worker):
        process.kill()
    server.kill()
    server.restart()
    webhook = deployment.webhook()
    deployment.worker()
    deployment.wait_calls("davi", 2)
    deployment.agent.release()
    deployment.wait_drained()

    metrics = Metrics(webhook)
    assert rejected_in(metrics) == rejected
    assert metrics.by("messages_ignored_total", "gateway", "reason") == {"evolution unknown_event": 1}
    assert metrics.sum_of("append_seconds_count") == 2 * len(BURST)
    compare_with_calls(metrics, deployment, said)
    assert not re.search(r"\d{8,}", metrics.text)
    assert metrics.by("messages_accepted_total", "gateway", "channel").keys() == {f"generic {MASKED}"}


def rejected_in(metrics: Metrics) -> dict[str, float]:
    return metrics.by("requests_rejected_total", "gateway", "reason")


def compare_with_calls(metrics: Metrics, deployment: Deployment, said: Counter[str]) -> None:
    """Compare the counters with what the webhook and the agent have recorded."""
    flushes = {call.key: call for call in deployment.agent.calls}
    assert len(flushes) == len(BURST)
    expected = {
        "messages_accepted_total": said["accepted"],
        "messages_duplicate_total": said["duplicates"],
        "flushes_total": len(flushes),
        "flush_messages_total": sum(len(call.ids) for call in flushes.values()),
        "flushes_single_total": sum(len(call.ids) == 1 for call in flushes.values()),
        "acked_total": 3,
        "agent_failures_total": 2,
        "dead_letters_total": 1,
        "dead_letters_kept": 1,
        "leases_recovered_total": 1,
        "answers_again_total": 0,
        "bursts_split_total": 0,
        "lateness_seconds_count": len(flushes),
        "gap_seconds_gcount": said["accepted"] - len(flushes),
        "conversations_pending": 0,
        "conversations_overdue": 0,
        "queue_jobs": 0,
    }
    assert {name: metrics.sum_of(name) for name in expected} == expected
    assert metrics.by("flushes_total", "reason") == {
        reason: sum(call.content["reason"] == reason for call in flushes.values()) for reason in ["quiet"]
    }
