"""The real rq-dashboard in a real browser shows what is pending, under way, finished and dead, and can requeue it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ACTION_WITHIN_MS
from tests.browser.dashboard import Dashboard
from tests.integration.agent import Answer
from tests.integration.deployment import Deployment
from tests.integration.rq_operator import queue_of

pytestmark = pytest.mark.browser

ANA = "5511900000041"
WHO = "+55 11 •••• 0041 · generic/default"
DEAD = Answer(422, b"no", "text/plain")
LONG = {"message_buffer_timeout": 600.0, "message_buffer_max_wait": 3600.0}


def start(start_deployment: Callable[..., Deployment], page: Page, **settings: object) -> tuple[Deployment, Dashboard]:
    """A deployment with a worker and a dashboard."""
    deployment = start_deployment(**settings)
    deployment.worker()
    deployment.redis.sadd("rq:queues", "rq:queue:flush")
    return deployment, Dashboard(deployment, page)


def test_a_pending_flush_with_its_due_time_live(start_deployment: Callable[..., Deployment], page: Page) -> None:
    """The open page shows a person's flush by itself, and its number of messages and due time as they change."""
    deployment, dashboard = start(start_deployment, page, **LONG)
    dashboard.open("scheduled")
    dashboard.wait_empty()
    webhook = deployment.webhook()
    webhook.say(ANA, "segredo")
    dashboard.wait_text(f"1 message · {WHO} · due ")
    webhook.say(ANA, "segredo")
    dashboard.wait_text(f"2 messages · {WHO} · due ")
    with ThreadPoolExecutor() as threads:  # Playwright's event loop occupies this thread
        (pending,) = threads.submit(deployment.snapshot).result()["conversations"]
    due = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(pending["deadline_ms"] // 1000))
    dashboard.wait_text(f"due {due}")
    expect(dashboard.rows.first.locator(".description")).to_be_in_viewport(ratio=1)
    assert "segredo" not in page.content()
    assert ANA not in page.content()


def test_the_pages_of_jobs_and_workers(start_deployment: Callable[..., Deployment], page: Page) -> None:
    """The flush goes from list to list; the page of a finished job and that of workers open without an error."""
    deployment, dashboard = start(start_deployment, page, message_buffer_timeout=3.0)
    deployment.agent.default = Answer(held=True)
    deployment.webhook().say(ANA, "oi")
    dashboard.open("started")
    dashboard.wait_text(f"1 message · {WHO}")
    with page.expect_response(re.compile("/workers.json$")) as answered:
        page.goto(f"{dashboard.url}/0/view/workers")
    (worker,) = answered.value.json()["workers"]
    assert worker["current_job"]["description"] == f"1 message · {WHO}"
    deployment.agent.release()
    dashboard.open("finished")
    dashboard.wait_text(f"1 message · {WHO}")
    page.locator(".job_id a").click()
    expect(page.locator("body")).to_contain_text("finished", timeout=ACTION_WITHIN_MS)
    expect(page.locator("body")).to_contain_text(WHO)


@pytest.mark.parametrize("button", ["Requeue", "Requeue All"])
def test_a_dead_letter_is_requeued(start_deployment: Callable[..., Deployment], page: Page, button: str) -> None:
    """It stands on the list of failed jobs with its reason; the button delivers it with its old id, and it leaves."""
    deployment, dashboard = start(start_deployment, page, message_buffer_timeout=0.3)
    deployment.agent.answer(ANA, DEAD, Answer())
    deployment.webhook().say(ANA, "oi")
    dashboard.open("failed")
    dashboard.wait_text("the agent answered 422")
    dashboard.wait_text(f"1 message · {WHO}")
    page.get_by_text(re.compile(f"^{button}$")).click()
    if button == "Requeue All":
        dashboard.confirm()
    deployment.wait_calls(ANA, 2)
    deployment.wait_drained()
    first, second = deployment.agent.calls
    assert (second.key, second.body) == (first.key, first.body)
    dashboard.open("failed")
    dashboard.wait_empty()
    dashboard.open("finished")
    dashboard.wait_text(f"1 message · {WHO}")


@pytest.mark.parametrize("button", ["Delete", "Empty queue"])
def test_delete_and_empty_lose_nothing(start_deployment: Callable[..., Deployment], page: Page, button: str) -> None:
    """What is deleted from the scheduled jobs is shown again, and delivered once."""
    deployment, dashboard = start(start_deployment, page, message_buffer_timeout=12.0)
    deployment.webhook().say(ANA, "oi")
    dashboard.open("scheduled")
    dashboard.wait_text(f"1 message · {WHO} · due ")
    page.get_by_text(re.compile(f"^{button}$")).click()
    with page.expect_response(re.compile("/(delete|empty)$")) as answered:
        dashboard.confirm()
    assert answered.value.json() == {"status": "OK"}
    dashboard.wait_text(f"1 message · {WHO} · due ")
    deployment.wait_calls(ANA)
    deployment.wait_drained()
    assert len(deployment.agent.calls) == 1
    assert queue_of(deployment).failed_job_registry.count == 0
