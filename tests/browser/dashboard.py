"""The real rq-dashboard beside a deployment, and its pages in the browser."""

from __future__ import annotations

import socket
import sys

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import ACTION_WITHIN_MS
from tests.integration.deployment import Deployment
from tests.integration.polling import until
from tests.servers import free_port

START = "import rq.serializers as s; s.PickleSerializer = s.JSONSerializer; from rq_dashboard.cli import main; main()"
"""As docs/deployment.md starts it: `--json` alone does not reach its page of workers."""

POLL_MS = 300


class Dashboard:
    """rq-dashboard, and one page of it."""

    def __init__(self, deployment: Deployment, page: Page) -> None:
        self.page = page
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        options = ["--json", "--bind", "127.0.0.1", "--port", str(port), "--interval", str(POLL_MS)]
        deployment.run([sys.executable, "-c", START, *options, "--redis-url", deployment.server.url])
        until("rq-dashboard listens", lambda: _listens(port))

    def open(self, registry: str) -> None:
        """Open the list of a registry."""
        self.page.goto(f"{self.url}/0/view/jobs/flush/{registry}/8/asc/1")

    @property
    def rows(self) -> Locator:
        """The rows of the jobs on the list that is open."""
        return self.page.locator("tr[data-role=job]")

    def wait_text(self, text: str) -> None:
        """Wait until the only row of the list has this text; the page refreshes by itself."""
        expect(self.rows).to_have_count(1, timeout=ACTION_WITHIN_MS)
        expect(self.rows.first).to_contain_text(text, timeout=ACTION_WITHIN_MS)

    def confirm(self) -> None:
        """Say yes to the question of the page."""
        self.page.locator("#confirmation-modal-yes").click()

    def wait_empty(self) -> None:
        """Wait until the list has no jobs."""
        expect(self.page.locator("table#jobs")).to_contain_text("No jobs.", timeout=ACTION_WITHIN_MS)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
