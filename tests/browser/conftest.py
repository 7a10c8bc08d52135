"""Fixtures of the browser tests: the processes of the integration tests, and a headless Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.operator_page import OperatorPage
from tests.integration.conftest import agent, start_deployment
from tests.integration.deployment import Deployment

__all__ = ["agent", "browser", "operator", "page", "start_deployment"]

ACTION_WITHIN_MS = 45_000
expect.set_options(timeout=ACTION_WITHIN_MS)  # what is expected may take its time on a busy machine

OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
"""Chromium has no sandbox for root, and a small /dev/shm in containers."""


def require_chromium() -> str:
    """The path of Chromium; without it the test is skipped, or fails where CI=true."""
    program = shutil.which("chromium")
    if program is not None:
        return program
    sentence = "no Chromium: install it to run this test (on Debian: apt install chromium)"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


@pytest.fixture
def browser() -> Iterator[Browser]:
    """A Chromium for one test: while Playwright runs, its event loop is in the way of the next test's `asyncio.run`."""
    program = require_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of its own. An error of a script on it fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(ACTION_WITHIN_MS)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


@pytest.fixture
def operator(start_deployment: Callable[..., Deployment], page: Page) -> Callable[..., OperatorPage]:
    """Start a deployment and its page, signed in."""

    def start(**settings: object) -> OperatorPage:
        found = OperatorPage(start_deployment(**settings), page)
        found.sign_in()
        return found

    return start
