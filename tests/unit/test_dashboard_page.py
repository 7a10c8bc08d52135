"""What the page says of a snapshot, in both languages, and what it does with hostile text."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from buffer.figures import Figures
from buffer.insight_models import Gauges
from buffer.models import Conversation
from buffer.operator_models import DeadLetter
from buffer.present_policy import PresentPolicy
from tests.unit.dashboard_pictures import FIXED, NOW_MS, STRIP, ended, figures, snapshot, waiting
from webhook.dashboard import masked
from webhook.dashboard.groups import group_key, grouped
from webhook.dashboard.health import calls_per_minute, indicators
from webhook.dashboard.models import HeldList, Indicator, Who
from webhook.dashboard.render import FOLDER, PANELS, Earlier, page_html, panels_html, sign_in_html
from webhook.dashboard.times import at_most_text, count_text, duration_text, moment_text, short_text
from webhook.dashboard.tuning import tuning_of
from webhook.dashboard.view import Filters, View, chosen, filters_of, minutes_of
from webhook.dashboard.words import WORDS, Language, language_of
from webhook.dashboard.words_english import ENGLISH

HOSTILE = "<img src=x onerror=alert(1)>\"'&"
ACTS = View(can_act=True, can_test=True)


def test_both_languages_have_the_same_words():
    """Every word is there in both, with the same places for values, and none is unused."""
    english, portuguese = WORDS["en"], WORDS["pt"]
    assert english.keys() == portuguese.keys()
    for name, text in english.items():
        assert _places(text) == _places(portuguese[name]), name


def _places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("pt-BR,pt;q=0.9,en;q=0.8", "pt"),
        ("en-GB,en;q=0.9,pt;q=0.8", "en"),
        ("de,pt;q=0.3,en;q=0.2", "pt"),
        ("de", "en"),
        ("", "en"),
        ("pt;q=nonsense,en;q=0.1", "en"),
        ("PT", "pt"),
    ],
)
def test_language(header: str, language: str):
    """The first of the two that the browser prefers, else English."""
    assert language_of(header) == language


@pytest.mark.parametrize("view", [View(), ACTS, View("pt", True, True, 5)], ids=str)
def test_the_page_is_whole(view: View):
    """The first render holds every panel, and nothing that the policy forbids."""
    html = page_html(snapshot(), view)
    assert all(f'data-panel="{name}"' in html for name in PANELS)
    assert not re.search(r"\sstyle=|<style|\son\w+=|<script(?! type=\"module\" src=\"/dashboard/static/)", html)
    assert not re.search(r"https?://", html)
    assert "+55 11 •••• 0001" in html
    assert re.search(r"<title>debouncer</title>", html)


def test_without_a_token_there_is_nothing_to_click():
    """A page that only reads has no action."""
    html = page_html(snapshot(), View())
    assert not re.search(
        r"data-post|data-each|data-open=|data-retry-all|data-test-burst|/dead-letters/|/replies/", html
    )
    assert "data-post" in page_html(snapshot(), ACTS)


def test_hostile_text_is_text():
    """Names, channels, errors and reasons come from people and machines that we do not know."""
    who = Who(HOSTILE, HOSTILE, HOSTILE)
    record = ended(who=who, reason=HOSTILE, outcome=HOSTILE, cause=HOSTILE, error=HOSTILE, flush_id=HOSTILE)
    letter = DeadLetter(HOSTILE, 1, None, Conversation(HOSTILE, HOSTILE, HOSTILE), HOSTILE, 1, 1)
    letters = grouped(1, [masked.letter(letter)])
    whole = snapshot(pending=[waiting(who=who, ref=HOSTILE)], ended=[record], dead_letters=letters)
    html = page_html(whole, ACTS._replace(filters=Filters()))
    assert "<img" not in html
    assert "onerror=alert(1)>" not in html


def test_a_hostile_filter_is_text():
    """What stands in the address comes back as text."""
    html = page_html(snapshot(), View(filters=Filters(HOSTILE, HOSTILE, HOSTILE, HOSTILE)))
    assert "<img" not in html


def test_filters():
    """Each leaves out what is not asked for; the search looks at digits, channels and ids."""
    both = snapshot(ended=[ended(), ended(outcome="dead", reason="max_wait", flush_id="other")])
    assert len(chosen(both, Filters())) == 2
    assert [one.outcome for one in chosen(both, Filters(outcome="dead"))] == ["dead"]
    assert len(chosen(both, Filters(gateway="meta"))) == 0
    assert len(chosen(both, Filters(q="OTHER"))) == 1
    assert filters_of({"q": "x" * 1000}).q == "x" * 100
    assert [minutes_of({"minutes": text}) for text in ("5", "7", "", "x")] == [5, 1, 1, 1]
    assert View(minutes=5, filters=Filters(q="a b")).query(minutes=15) == "q=a+b&minutes=15"


def test_failures_are_grouped_by_their_cause():
    """Numbers within a reason do not make it another one, but a status code does."""
    assert group_key("id 12345 not found") == group_key("id 9 not found")
    assert group_key("HTTP 422") != group_key("HTTP 500")
    letters = [
        masked.letter(
            DeadLetter(f"f{at}", NOW_MS + at, None, Conversation("generic", "c", "5511900000001"), error, 1, 1)
        )
        for at, error in enumerate(["HTTP 422", "HTTP 500", "HTTP 422"])
    ]
    found = grouped(7, letters)
    assert [(group.reason, len(group.items)) for group in found.groups] == [("HTTP 422", 2), ("HTTP 500", 1)]
    assert (found.total, found.read, found.groups[0].first_ms) == (7, 3, NOW_MS)


def test_numbers_are_masked():
    """Neither the number of a person nor that in a channel or an error is shown."""
    number = "5511900004321"
    letter = DeadLetter("f", 1, None, Conversation("evolution", "+55 11 90000-4321", number), f"no {number}", 1, 1)
    reason, held = masked.letter(letter)
    assert held.who.person == "+55 11 •••• 4321"
    assert "4321" not in reason.replace("**21", "")
    assert "90000" not in held.who.channel


def test_the_recommended_window_is_in_the_strip():
    """A stranger sees what the wait should be."""
    many = tuning_of(figures(*[10] * 24), FIXED)
    html = panels_html(snapshot(tuning=many), View())["strip"]
    assert f"{many.recommended_s} s would be better" in html
    assert "8 s" in html


def test_all_is_well():
    """The strip says so only where there is no badge and no alarm, and nothing is dead, in doubt or late."""
    well = snapshot(badges=[], health=[Indicator("split", "2.0 %")], dead_letters=HeldList())
    assert ENGLISH["all_well"] in panels_html(well, View())["strip"]
    alarmed = snapshot(badges=[], health=[Indicator("split", "20.0 %", True)])
    for wrong in (alarmed, snapshot(health=[]), snapshot(badges=[], health=[], strip=replace(STRIP, dead=1))):
        assert ENGLISH["all_well"] not in panels_html(wrong, View())["strip"]


def test_a_share_of_few_is_no_alarm():
    """Two split turns of four say nothing yet."""
    gauges = Gauges(NOW_MS, 0, 0, 0, 0, 0, 0, {})
    for turns, is_alarm in ((4, False), (40, True)):
        found = Figures(Counter(turns=turns, turns_split=turns // 2))
        (split,) = [one for one in indicators(found, gauges) if one.name == "split"]
        assert (split.value, split.is_alarm) == ("50.0 %", is_alarm)


def test_every_word_is_used():
    """The page has no words that stand nowhere."""
    code = "".join(file.read_text(encoding="utf-8") for file in FOLDER.rglob("*.*") if _is_code(file))
    unused = [name for name in ENGLISH if not re.search(rf"t\.{name}\b|\"{name}\"", code)]
    assert [name for name in unused if not re.match("(st|r|o|b|h|p|w)_", name)] == []


def _is_code(file: Path) -> bool:
    return file.suffix in (".py", ".html") and not file.name.startswith("words_")


def test_a_page_with_nothing_on_it():
    """Every panel says that it has nothing."""
    empty = snapshot(
        badges=[], pending=[], ended=[], dead_letters=HeldList(), tuning=tuning_of(Figures(), FIXED), health=[]
    )
    html = page_html(empty, View())
    for name in ("pending_none", "timeline_none", "history_empty", "dead_none", "doubts_none", "tuning_none"):
        assert WORDS["en"][name].partition(";")[0] in html


def test_tuning():
    """The table has the present and the recommended window; the slider has every second."""
    found = tuning_of(figures(*[10] * 24), FIXED)
    assert [one.window_s for one in found.choices if one.is_present] == [8.0]
    assert [one.window_s for one in found.choices if one.is_recommended] == [found.recommended_s]
    assert [one.window_s for one in found.choices][:4] == [3.0, 5.0, 8.0, 12.0]
    assert len(found.trial) == 60
    assert found.trial == sorted(found.trial, reverse=True)


AUTO = PresentPolicy("auto", 3_100, 7_000, has_typing=True, has_restart=True)


def tuning_html(found: Figures, policy: PresentPolicy, language: Language = "en") -> str:
    return panels_html(snapshot(tuning=tuning_of(found, policy)), View(language))["tuning"]


def test_the_figures_of_the_wait_stand_together():
    """Split turns, premature answers, wait, reply and calls are in one row, those of fixed windows below."""
    html = tuning_html(figures(*[10] * 24, turns=400), FIXED)
    (measured,) = re.findall(r'<tr data-key="live".*?</tr>', html)
    cells = re.findall(r"<td[^>]*>(.*?)</td>", measured)
    assert [re.sub(r"<[^>]+>", "", cell) for cell in cells] == [
        "20.0 %",
        "0.25",
        "8.4 s p90 ≤\u00a010\u00a0s",
        "12.0 s p90 ≤\u00a030\u00a0s",
        "1.25",
    ]
    rows = re.findall(r'<tr data-key="([\d.]+)"', html)
    assert rows[:4] == ["3.0", "5.0", "8.0", "12.0"]
    assert "Turns measured since the first start: 400." in html
    assert "taken back" not in html


def test_the_policy_is_named():
    """The band says in both languages how long the wait is, and an auto channel is recommended nothing."""
    found = figures(*[10] * 24, flushes_superseded=3)
    html = tuning_html(found, AUTO)
    assert "auto: 3.1 to 7 s, shorter while typing is seen, restart while answering" in html
    assert "taken back because the person went on: 3." in html
    assert "Recommended" not in html
    assert "auto: 3.1 a 7 s" in tuning_html(found, AUTO, "pt")
    assert "fixa de 8 s" in tuning_html(found, FIXED, "pt")


def test_what_cannot_be_known_yet():
    """Few turns are a guess, and none at all leave dashes and no table of windows."""
    assert "they need the pauses in 300 turns. Known so far: 37." in tuning_html(figures(5, 5, turns=37), FIXED)
    empty = tuning_html(Figures(), FIXED)
    assert empty.count("–") == 5
    assert "No turn has been counted yet" in empty
    assert 'data-key="3.0"' not in empty


def test_sign_in_page():
    """It says what it wants, and that a token was wrong."""
    assert 'role="alert"' in sign_in_html(View(), is_wrong=True)
    assert 'role="alert"' not in sign_in_html(View("pt"))


@pytest.mark.parametrize(
    ("ms", "long", "brief"),
    [
        (None, "–", "–"),
        (420, "420 ms", "0 s"),
        (3_240, "3.2 s", "3 s"),
        (59_990, "1 min 00 s", "59 s"),
        (125_000, "2 min 05 s", "2 min"),
        (11_400_000, "3 h 10 min", "3 h"),
        (400_000_000, "4 d", "4 d"),
    ],
)
def test_durations(ms: int | None, long: str, brief: str):
    """Each unit where it reads best."""
    assert (duration_text(ms), short_text(ms)) == (long, brief)


def test_bounds():
    """Beyond the last bucket there is none."""
    assert at_most_text(10_000, "wait_ms") == "≤\u00a010\u00a0s"
    assert at_most_text(math.inf, "wait_ms") == ">\u00a060\u00a0s"


def test_a_panel_in_which_nothing_happens_stays_the_same():
    """A stream does not send the lists anew because time goes on; the first render tells the time itself."""
    later = snapshot(now_ms=NOW_MS + 1_000)
    live, first = View(is_live=True), View()
    for name in ("pending", "history", "held"):
        assert panels_html(later, live)[name] == panels_html(snapshot(), live)[name]
    assert panels_html(later, first)["history"] != panels_html(snapshot(), first)["history"]


CHANGES: dict[str, dict[str, Any]] = {
    "pending": {"pending": []},
    "history": {"ended": [ended(messages=7)]},
    "held": {"dead_letters": HeldList()},
    "tuning": {"tuning": tuning_of(Figures(), FIXED)},
    "health": {"health": []},
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_panel_is_taken_from_before_only_if_it_shows_the_same(name: str):
    """With and without what was drawn before, a stream tells the same."""
    live = View(is_live=True)
    earlier = Earlier(snapshot(), panels_html(snapshot(), live))
    changed = snapshot(now_ms=NOW_MS + 1_000, **CHANGES[name])
    found = panels_html(changed, live, earlier)
    assert found == panels_html(changed, live)
    assert found[name] != earlier.panels[name]
    assert [other for other in CHANGES if other != name and found[other] is not earlier.panels[other]] == []


def test_calls_of_a_minute():
    """They are those of the records; if all records are younger than a minute, there were more."""
    assert calls_per_minute([ended(), ended(claimed_ms=NOW_MS - 61_000), ended(part="p")], NOW_MS) == 1
    many = [ended(claimed_ms=NOW_MS - at * 100) for at in range(1, 201)]
    assert calls_per_minute(many, NOW_MS) == 600
    assert calls_per_minute([], NOW_MS) == 0


def test_thousands():
    """They are apart."""
    assert count_text(1234567) == "1\u202f234\u202f567"


def test_a_moment_beyond_all_calendars():
    """Redis may hold anything."""
    assert moment_text(10**30) == "1970-01-01T00:00:00Z"
