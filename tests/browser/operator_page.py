"""The operator's page of a deployment in the browser, with people who write and an agent that answers or refuses."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page

from buffer.insight_models import BOUNDS_MS
from buffer.models import Conversation
from buffer.prints import print_of
from buffer.reply_models import Ending, SendLimits
from buffer.reply_store import Replies
from buffer.store import Store
from tests.integration.deployment import Deployment
from tests.integration.processes import Webhook
from tests.messages import message

TOKEN = "a-token-for-operators"
SHOTS = Path(__file__).parents[2] / "screenshots"
"""Where screenshots are kept. Git ignores it."""

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")
APPEND_AT_ONCE = 500
MEDIAN_GAP_S, SPREAD = 3.0, 0.9


class OperatorPage:
    """The page of a deployment whose service has a token."""

    def __init__(self, deployment: Deployment, page: Page) -> None:
        self.deployment = deployment
        self.page = page
        self.webhook: Webhook = deployment.webhook(admin_token=TOKEN)
        self.url = f"http://127.0.0.1:{self.webhook.port}"

    def open(self, query: str = "") -> None:
        """Open it, signed in if it was before."""
        self.page.goto(f"{self.url}/dashboard{query}")

    def sign_in(self) -> None:
        """Open it and sign in."""
        self.open()
        self.page.locator("#token").fill(TOKEN)
        self.page.locator("button").click()
        self.page.locator(".state.is-live").wait_for()

    def panel(self, name: str) -> Locator:
        """One of the panels."""
        return self.page.locator(f'[data-panel="{name}"]')

    def faults(self) -> list[str]:
        """The serious faults that axe-core finds."""
        self.page.evaluate(AXE)
        found: dict[str, Any] = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']}: {node['html'][:200]} {node['failureSummary'][:200]}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]

    def shoot(self, name: str, whole: bool = True) -> None:
        """Keep a screenshot."""
        SHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=whole)


def number(at: int) -> str:
    """The number of a person that nobody has."""
    return f"55119{at:08}"


def fill_gaps(deployment: Deployment, channel: str = "default", gateway: str = "generic") -> None:
    """Let the tally of a channel say that people write as they do, and nothing else."""
    random_ms = random.Random(5)
    counts = [0] * len(BOUNDS_MS["gap"])
    for _ in range(4000):
        gap_ms = random_ms.lognormvariate(0, SPREAD) * MEDIAN_GAP_S * 1000
        at = next((at for at, bound in enumerate(BOUNDS_MS["gap"]) if gap_ms <= bound), None)
        if at is not None:
            counts[at] += 1
    totals = {"flushes_quiet": 2600, "flush_messages": 6400, "messages_accepted": 6400}
    turns = {"turns": 2400, "turns_split": 190, "bursts_split": 230, "gap:turns": 2400}
    waits = {"wait_ms:9": 2000, "wait_ms:10": 600, "wait_ms:sum": 21_060_000}
    replies = {"reply_ms:6": 1500, "reply_ms:7": 900, "reply_ms:sum": 24_000_000}
    fields = {f"gap:{at}": count for at, count in enumerate(counts) if count} | totals | turns | waits | replies
    deployment.redis.hset(f"deb:{{p0}}:tally:{gateway}:{channel}", mapping=fields)
    deployment.redis.sadd("deb:{p0}:channels", f"{gateway}:{channel}")


def fill_pending(deployment: Deployment, count: int) -> None:
    """Let so many people write one to three messages each, by the clock of the server."""

    async def fill(store: Store) -> None:
        people = (Conversation("generic", "default", number(at)) for at in range(count))
        writes = (message(f"{who.peer}-{at}", who) for n, who in enumerate(people) for at in range(1 + n % 3))
        for some in _batches(writes):
            await store.append(some)

    deployment.ask(fill)


def fill_doubts(deployment: Deployment, *people: str) -> None:
    """Bring one part of an answer to each person in doubt, as a worker that died has left it."""

    async def fill(store: Store) -> None:
        replies = Replies(store)
        for peer in people:
            who = Conversation("generic", "default", peer)
            await store.append([message(f"doubt-{peer}", who)])
            await store.flush_now(who)
            batch = (await store.claim(store.ref(who), f"w-{peer}")).batch
            assert batch is not None
            answer = json.dumps({"parts": [{"text": "resposta"}]}).encode()
            await store.answered(store.ref(who), batch.token, answer, print_of("resposta"))
            await replies.begin_part(store.ref(who), batch.token, 1, who, None, SendLimits())
            await replies.end_part(store.ref(who), batch.token, 1, who, Ending("in_doubt", batch.flush_id))
            await store.ack(store.ref(who), batch.token)

    deployment.ask(fill)


def _batches(writes: Iterator[Any]) -> Iterator[Sequence[Any]]:
    while some := list(islice(writes, APPEND_AT_ONCE)):
        yield some


def in_thread(work: Callable[[], Any]) -> Any:
    """Run what needs an event loop of its own: Playwright's occupies this thread."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(work).result()
