"""Takes the picture of the page for the README: `make screenshot` runs the demo and waits for the end of its story."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).parents[2] / "docs" / "dashboard.png"
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/dashboard")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
SIZE = (1280, 900)
WATCHED_MS = 2_000
"""Time for which the page is watched."""


def main() -> int:
    """Run the demo, and write the picture. Returns 1 if a promise of the demo was broken."""
    with subprocess.Popen([sys.executable, "-m", "cli", "demo", "--page"], stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        lines: list[str] = []
        for line in demo.stdout:
            lines.append(line)
            if ADDRESS.search(line) and any("promises" in earlier for earlier in lines):
                break
        address = ADDRESS.findall("".join(lines))[-1]
        shoot(address)
        demo.terminate()
        return demo.wait()


def shoot(address: str) -> None:
    """Write the picture of a page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=OPTIONS)
        width, height = SIZE
        page = browser.new_page(viewport={"width": width, "height": height}, locale="en", color_scheme="light")
        page.goto(address)
        page.locator(".state.is-live").wait_for()
        page.wait_for_timeout(WATCHED_MS)
        page.screenshot(path=PICTURE, full_page=True)
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
