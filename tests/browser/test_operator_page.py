"""The operator's page in a real browser: every control against a running service, and what it looks like."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.operator_page import TOKEN, OperatorPage, fill_doubts, fill_gaps, in_thread, number
from tests.integration.agent import Answer
from tests.integration.deployment import Deployment

pytestmark = pytest.mark.browser

ANA, BIA, CAIO, DINA = (number(at) for at in (41, 42, 43, 44))
LONG = {"message_buffer_timeout": 600.0, "message_buffer_max_wait": 3600.0}
QUICK = {"message_buffer_timeout": 0.3}
DEAD = Answer(422, b"no", "text/plain")
SECRET = "segredo da conversa"

Start = Callable[..., Deployment]


def die(operator: OperatorPage, *people: str) -> None:
    """Make a dead letter of each person."""
    operator.deployment.agent.default = DEAD
    for who in people:
        operator.webhook.say(who, SECRET)
    expect(operator.panel("held").locator("li")).to_have_count(len(people))


def test_signing_in_and_out(start_deployment: Start, page: Page) -> None:
    """Without the token there is a form and nothing else; with it the page, until one signs out."""
    operator = OperatorPage(start_deployment(**LONG), page)
    operator.open()
    assert page.locator("[data-panel]").count() == 0
    page.locator("#token").fill("guessed")
    page.locator("button").click()
    expect(page.get_by_role("alert")).to_be_visible()
    operator.sign_in()
    expect(operator.panel("strip")).to_contain_text("waiting")
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#token")).to_be_visible()


def test_what_waits_is_live(operator: Callable[..., OperatorPage]) -> None:
    """A message opens a row by itself, with its countdown, its masked number and no text; flush now empties it."""
    found = operator(**LONG)
    pending = found.panel("pending")
    found.webhook.say(ANA, SECRET, sender_name="Alba")
    row = pending.locator("tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("+55 11 •••• 0041")
    expect(row.locator("time")).to_have_text(re.compile(r"in 9 min \d\d s"))
    before = row.locator("time").inner_text()
    expect(row.locator("time")).not_to_have_text(before)
    content = found.page.content()
    assert not [secret for secret in (ANA, SECRET, "Alba") if secret in content]
    found.deployment.worker()
    row.get_by_role("button", name="Flush now").click()
    expect(pending.locator("tbody tr")).to_have_count(0)
    expect(found.panel("history")).to_contain_text("by hand")
    expect(found.page.get_by_role("status")).to_contain_text("done")
    assert len(found.deployment.agent.calls) == 1


def test_a_countdown_needs_no_news(operator: Callable[..., OperatorPage]) -> None:
    """It is drawn from the stored deadline: it goes on while no stream opens, and the page says so."""
    found = operator(**LONG)
    found.webhook.say(ANA, SECRET)
    expect(found.panel("pending").locator("tbody tr")).to_have_count(1)
    found.page.route("**/dashboard/events*", lambda route: route.abort())
    found.open()
    left = found.panel("pending").locator("tbody tr time")
    expect(left).to_have_text(re.compile(r"in 9 min \d\d s"))
    before = left.inner_text()
    expect(left).not_to_have_text(before)
    expect(found.page.locator(".state.is-away")).to_be_visible()


def test_pause_resume_and_discard(operator: Callable[..., OperatorPage]) -> None:
    """A conversation is paused and resumed; a discard asks before, and No changes nothing."""
    found = operator(**LONG)
    found.webhook.say(ANA, SECRET)
    row = found.panel("pending").locator("tbody tr")
    row.get_by_role("button", name="Pause 1 h").click()
    expect(row).to_contain_text("paused")
    row.get_by_role("button", name="Resume").click()
    expect(row).to_contain_text("collecting")
    row.get_by_role("button", name="Discard").click()
    found.page.get_by_role("button", name="No", exact=True).click()
    expect(row).to_have_count(1)
    row.get_by_role("button", name="Discard").click()
    found.page.get_by_role("button", name="Yes, do it").click()
    expect(row).to_have_count(0)
    expect(found.panel("history")).to_contain_text("discarded")
    assert "admin API: discard" in found.webhook.log


def test_open_hides_until_revealed(operator: Callable[..., OperatorPage]) -> None:
    """A conversation opens masked; one more click shows the number and the texts, and closing forgets them."""
    found = operator(**LONG)
    found.webhook.say(ANA, SECRET)
    found.panel("pending").get_by_role("button", name="Open").click()
    dialog = found.page.locator("[data-look]")
    expect(dialog.locator("li")).to_have_count(1)
    assert SECRET not in found.page.content()
    dialog.get_by_role("button", name="Show number and texts").click()
    expect(dialog).to_contain_text(SECRET)
    expect(dialog).to_contain_text(ANA)
    assert found.page.title() == "debouncer"
    dialog.get_by_role("button", name="Close").click()
    assert SECRET not in found.page.content()


def test_dead_letters(operator: Callable[..., OperatorPage]) -> None:
    """They stand in groups by their error; one, a group or all are sent again; one or a group is discarded."""
    found = operator(**QUICK)
    found.deployment.worker()
    die(found, ANA, BIA, CAIO, DINA)
    held = found.panel("held")
    group = held.locator("details")
    expect(group).to_have_count(1)
    group.locator("summary").click()
    with found.page.expect_download() as download:
        held.get_by_role("link", name="Export JSON").click()
    assert download.value.suggested_filename == "dead-letters.ndjson"
    group.locator("li").first.get_by_role("button", name="Discard").click()
    found.page.get_by_role("button", name="Yes, do it").click()
    expect(group.locator("li")).to_have_count(3)
    found.deployment.agent.default = Answer()
    group.locator("li").first.get_by_role("button", name="Retry").click()
    expect(group.locator("li")).to_have_count(2)
    group.get_by_role("button", name="Retry group").click()
    found.page.get_by_role("button", name="Yes, do it").click()
    expect(held).to_contain_text("No dead letters.")
    die(found, ANA)
    found.deployment.agent.default = Answer()
    held.get_by_role("button", name="Retry all").click()
    found.page.get_by_role("button", name="Yes, do it").click()
    expect(held).to_contain_text("No dead letters.")
    die(found, ANA, BIA)
    held.locator("summary").click()
    held.get_by_role("button", name="Discard group").click()
    found.page.get_by_role("button", name="Yes, do it").click()
    expect(held).to_contain_text("No dead letters.")
    assert found.webhook.log.count("admin API: discard") == 3


def test_replies_in_doubt(operator: Callable[..., OperatorPage]) -> None:
    """They stand in a group; one, the group or all are sent again or dropped, and all are exported."""
    found = operator(**LONG)
    held = found.panel("held")
    group = held.locator("details[data-key^=doubt]")
    doubts = group.locator("li")

    def fill(*people: str) -> None:
        in_thread(lambda: fill_doubts(found.deployment, *people))
        expect(doubts).to_have_count(len(people))

    def press(name: str, left: int) -> None:
        held.get_by_role("button", name=name, exact=True).first.click()
        found.page.get_by_role("button", name="Yes, do it").click()
        expect(doubts).to_have_count(left)

    fill(ANA, BIA, CAIO, DINA)
    expect(found.panel("strip").locator(".warn dd")).to_have_text("4")
    group.locator("summary").click()
    with found.page.expect_download() as download:
        held.get_by_role("link", name="Export JSON").click()
    lines = [json.loads(line) for line in download.value.path().read_text(encoding="utf-8").splitlines()]
    assert [line["text"] for line in lines] == ["resposta"] * 4
    press("Drop", left=3)
    held.get_by_role("button", name="Send again", exact=True).first.click()
    expect(doubts).to_have_count(2)
    press("Drop group", left=0)
    fill(number(51), number(52))
    group.locator("summary").click()
    press("Send group again", left=0)
    fill(number(53), number(54))
    press("Send all again", left=0)
    for action, times in (("drop", 3), ("send", 5), ("export", 1)):
        assert found.webhook.log.count(f"admin API: {action}") == times


def test_a_call_under_way_is_drawn(operator: Callable[..., OperatorPage]) -> None:
    """While the agent thinks, its call grows on the lane; the answer ends it."""
    found = operator(**QUICK)
    found.deployment.agent.default = Answer(200, b'{"reply": "oi"}', "application/json", held=True)
    found.deployment.worker()
    found.webhook.say(ANA, SECRET)
    timeline = found.panel("timeline")
    expect(timeline.locator(".lane .call.is-open")).to_have_count(1)
    found.deployment.agent.release()
    expect(timeline.locator(".lane .call.is-open")).to_have_count(0)
    expect(timeline.locator(".lane .call")).to_have_count(1)


def test_a_message_sent_again_is_hollow(operator: Callable[..., OperatorPage]) -> None:
    """A duplicate that was suppressed is a hollow dot on the lane of its conversation."""
    found = operator(**LONG)
    for _ in range(2):
        found.webhook.post({"conversation": ANA, "message_id": "m1", "text": SECRET})
    expect(found.panel("timeline").locator(".lane .duplicate")).to_have_count(1)
    expect(found.panel("timeline").locator(".lane .message")).to_have_count(1)


def test_a_link_of_another_site_leads_here(operator: Callable[..., OperatorPage]) -> None:
    """Whoever is signed in and follows it sees the page; a script of that site gets nothing."""
    found = operator(**LONG)
    found.page.goto(f'data:text/html,<a href="{found.url}/dashboard">the page</a>')
    tried = f"fetch('{found.url}/snapshot.json', {{credentials: 'include'}}).then(() => 'read', () => 'refused')"
    assert found.page.evaluate(tried) == "refused"
    found.page.get_by_role("link").click()
    expect(found.page.locator(".state.is-live")).to_be_visible()


def test_by_keyboard_in_portuguese(start_deployment: Start, browser: Any) -> None:
    """Tab and Enter sign in, skip to what waits, and flush it; every word is Portuguese."""
    context = browser.new_context(locale="pt-BR")
    page = context.new_page()
    operator = OperatorPage(start_deployment(**LONG), page)
    operator.open()
    expect(page.locator("#token")).to_be_focused()
    page.keyboard.type(TOKEN)
    page.keyboard.press("Enter")
    page.locator(".state.is-live").wait_for()
    assert page.locator("html").get_attribute("lang") == "pt-BR"
    operator.webhook.say(ANA, SECRET)
    expect(operator.panel("pending").locator("tbody tr")).to_have_count(1)
    page.keyboard.press("Tab")
    expect(page.get_by_text("Ir para o que espera")).to_be_focused()
    page.keyboard.press("Enter")
    reach(page, "Enviar já")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("feito")
    expect(operator.panel("pending")).to_contain_text("agora")
    context.close()


def reach(page: Page, name: str) -> None:
    """Press Tab until a button has the focus."""
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == name:
            return
    raise AssertionError(f"Tab does not reach {name}")


def test_the_test_burst(operator: Callable[..., OperatorPage]) -> None:
    """Three messages of a made-up person become one call, drawn on the timeline."""
    found = operator(message_buffer_timeout=8.0)
    found.deployment.worker()
    found.page.get_by_role("button", name="Send a test burst").click()
    expect(found.panel("timeline").locator(".lane .call")).to_have_count(1)
    expect(found.panel("timeline").locator(".lane .message")).to_have_count(3)
    (call,) = found.deployment.agent.calls
    assert len(call.texts) == 3


def test_filters_stand_in_the_address(operator: Callable[..., OperatorPage]) -> None:
    """The slash leads to the search; filters are kept in the address, and leave out what is not asked for."""
    found = operator(**QUICK)
    found.deployment.worker()
    for who in (ANA, BIA):
        found.webhook.say(who, SECRET)
    history = found.panel("history")
    expect(history.locator("tbody tr")).to_have_count(2)
    found.page.keyboard.press("/")
    found.page.keyboard.type("0042")
    found.page.keyboard.press("Enter")
    expect(history.locator("tbody tr")).to_have_count(1)
    assert "q=0042" in found.page.url
    expect(found.page.locator(".state.is-live")).to_be_visible()
    found.page.locator('select[name="outcome"]').select_option("acked")
    found.page.wait_for_url("**outcome=acked**")
    found.page.get_by_role("link", name="15 min").click()
    found.page.wait_for_url("**minutes=15**")
    assert "q=0042" in found.page.url


def test_the_tuning(operator: Callable[..., OperatorPage]) -> None:
    """It recommends a window, and the slider says what each would do."""
    found = operator(**LONG)
    fill_gaps(found.deployment)
    tuning = found.panel("tuning")
    expect(tuning).to_contain_text(re.compile(r"Recommended: \d+ s"), timeout=20_000)
    slider = tuning.locator("input[type=range]")
    slider.focus()
    found.page.keyboard.press("Home")
    expect(tuning.locator("output")).to_have_text(re.compile(r"1 s: \d+ % of turns split, \d\.\d\d premature"))
    expect(tuning.locator("line.trial")).to_have_class(re.compile("moved"))


def test_the_figures_of_the_wait(operator: Callable[..., OperatorPage]) -> None:
    """What real processes have counted stands in the first line: a turn of two messages that was called for twice."""
    found = operator(**QUICK)
    tuning = found.panel("tuning")
    expect(tuning).to_contain_text("fixed 0.3 s")
    expect(tuning).to_contain_text("No turn has been counted yet")
    found.deployment.worker()
    for count, text in enumerate((SECRET, "e mais uma"), start=1):
        found.webhook.say(ANA, text)
        found.deployment.wait_calls(ANA, count)
    expect(tuning).to_contain_text("since the first start: 1.")
    cells = tuning.locator('tr[data-key="live"] td')
    expect(cells).to_have_text([re.compile(one) for one in (r"100\.0 %", r"1\.00", r"p90 ≤\s[\d.]+\s", "–", r"2\.00")])
    expect(tuning.locator("tbody tr")).to_have_count(6)
    expect(tuning).to_contain_text("Known so far: 1.")
    expect(found.panel("history")).to_contain_text("0.3 s")


def test_the_page_names_what_channels_have_found(operator: Callable[..., OperatorPage]) -> None:
    """The windows of auto channels are told in words, and nothing is recommended to them."""
    found = operator(message_buffer_timeout="auto")
    fill_gaps(found.deployment)
    found.deployment.redis.hset("deb:{p0}:windows", "generic:default", "5240 auto_channel")
    tuning = found.panel("tuning")
    expect(tuning).to_contain_text("auto: 5.2 s", timeout=20_000)
    expect(tuning).to_contain_text("Each channel finds its own window")
    expect(tuning).not_to_contain_text("Recommended")


def test_pausing_the_page(operator: Callable[..., OperatorPage]) -> None:
    """A paused page stands still until it is told to go on."""
    found = operator(**LONG)
    pause = found.page.get_by_role("button", name="Pause the page")
    pause.click()
    found.webhook.say(ANA, SECRET)
    expect(found.page.locator("[data-state]")).to_contain_text("paused")
    expect(found.panel("pending").locator("tbody tr")).to_have_count(0)
    pause.click()
    expect(found.panel("pending").locator("tbody tr")).to_have_count(1)


def test_open_streams_do_not_delay_a_stop(operator: Callable[..., OperatorPage]) -> None:
    """SIGTERM ends the service although somebody watches, and the page says that it is away.

    Nothing else would end the stream for ten minutes: this server waits for open responses as long as they last.
    """
    found = operator(**LONG)
    found.webhook.terminate()
    in_thread(found.webhook.wait)
    expect(found.page.locator(".state.is-away")).to_be_visible()


def test_it_reads_without_javascript(start_deployment: Start, browser: Any) -> None:
    """The first render is whole: rows, drawing, numbers and due times, and nothing that cannot work."""
    deployment = start_deployment(**LONG)
    webhook = deployment.webhook()
    webhook.say(ANA, SECRET)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{webhook.port}/")
    assert page.url.endswith("/dashboard")
    assert "+55 11 •••• 0041" in page.locator("#pending").inner_text()
    assert page.locator("#pending time").inner_text().startswith("in ")
    assert page.locator("svg.lane").count() == 1
    assert page.locator("button:visible").all_inner_texts() == ["Filter"]
    context.close()
