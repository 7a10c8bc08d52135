"""What the operator's page looks like: screenshots to look at, and the faults that axe-core finds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.browser.operator_page import TOKEN, OperatorPage, fill_doubts, fill_gaps, fill_pending, in_thread, number
from tests.integration.agent import Answer
from tests.integration.deployment import Deployment

pytestmark = pytest.mark.browser

ANA, BIA, CAIO, DINA = (number(at) for at in (41, 42, 43, 44))
DEAD = Answer(422, b"no", "text/plain")
Start = Callable[..., Deployment]
SIZES = {"wide": (1280, 900), "phone": (390, 844), "wall": (1920, 1080)}


@pytest.mark.parametrize("count", [0, 12, 100_000])
def test_what_it_looks_like(start_deployment: Start, page: Page, count: int) -> None:
    """Whether nothing, some or very many wait, it has no serious fault in any size or light, nor scrolls sideways."""
    operator = OperatorPage(start_deployment(message_buffer_timeout=60.0, message_buffer_max_wait=240.0), page)
    if count:
        in_thread(lambda: fill_pending(operator.deployment, count))
        in_thread(lambda: fill_doubts(operator.deployment, DINA))
        tell_a_story(operator)
        fill_gaps(operator.deployment)
    operator.sign_in()
    for light in ("light", "dark"):
        for name, (width, height) in SIZES.items():
            page.emulate_media(color_scheme=light)
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(300)
            operator.shoot(f"{count}-{name}-{light}")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert operator.faults() == []


def tell_a_story(operator: OperatorPage) -> None:
    """Some flushes that ended well, and some that did not."""
    operator.deployment.worker(message_buffer_timeout=1.0)
    operator.deployment.agent.answer(CAIO, DEAD)
    for who, text in ((ANA, "oi"), (BIA, "bom dia"), (ANA, "tudo bem?"), (CAIO, "vocês abrem?"), (ANA, "e o pedido?")):
        operator.webhook.post({"conversation": who, "channel": "loja", "text": text})
        operator.page.wait_for_timeout(400)
    headers = {"authorization": f"Bearer {TOKEN}"}
    for who in (ANA, BIA, CAIO):
        person = {"gateway": "generic", "channel": "loja", "id": who}
        ref = operator.webhook.client.post(f"{operator.url}/conversations/find", json=person, headers=headers).json()[
            "ref"
        ]
        operator.webhook.client.post(f"{operator.url}/conversations/{ref}/flush", headers=headers)
    operator.page.wait_for_timeout(2000)
