"""The replay of recorded conversations: reading, turns, what each lever does to a turn, figures, and the page."""

from __future__ import annotations

import gzip
from bisect import bisect_left
from pathlib import Path

import pytest

from benchmarks.plots import DOCS, WAIT_PICTURE
from benchmarks.wait.conversations import BadData, Conversation, Message, Turn, read_conversations
from benchmarks.wait.page import BEGIN, END, PAGE, policies_table, write_tables
from benchmarks.wait.policies import AUTO, BASELINE, EVERYTHING, FAMILIES, TABLE, Policy, restarting
from benchmarks.wait.replay import TurnResult, replay, typing_signals
from benchmarks.wait.scores import Interval, Score, Sums, figures, interval, samples, score
from benchmarks.wait.training import counted, divide, learnt_gaps, windows_by_day
from buffer.window_policy import GAP_BOUNDS_MS, Gaps

HEAD = "conv,author,gap_ms,same_author,chars\n"
FIXED = Policy("fixed", 8_000)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "some.csv"
    path.write_text(text, encoding="utf-8")
    return path


def conversation(*at_s: float, chars: int = 0, author: str = "a") -> Conversation:
    """One turn, whose messages come at these seconds; all typing can be seen."""
    messages = tuple(Message(author, round(one * 1000), chars, 0.0) for one in at_s)
    return Conversation("c", (Turn(author, messages, is_answered=True, pause_ms=None),))


def result(policy: Policy, *at_s: float, chars: int = 0, gaps: Gaps | None = None) -> TurnResult:
    return next(replay(conversation(*at_s, chars=chars), policy, gaps))


def test_turns(tmp_path):
    """Somebody else or more than 60 s end a turn; the last message, which has no row, belongs to its author."""
    text = HEAD + "1,a,5001,1,9\n1,a,3000,0,0\n1,b,60001,1,2\n1,b,60000,1,2\n1,b,1000,0,2\n2,x,1000,0,1\n"
    first, second = read_conversations(written(tmp_path, text))
    assert [(turn.author, [message.at_ms for message in turn.messages]) for turn in first.turns] == [
        ("a", [0, 5_001]),
        ("b", [8_001]),
        ("b", [68_002, 128_002]),
        ("a", [129_002]),
    ]
    assert [turn.is_answered for turn in first.turns] == [True, False, True, False]
    assert [turn.pause_ms for turn in first.turns] == [None, None, 60_001, None]
    assert [turn.author for turn in second.turns] == ["x", "another"]


def test_whole_seconds_get_a_part(tmp_path):
    """Stamps of whole seconds are spread over their second, in order, and in the same way each time."""
    path = written(tmp_path, HEAD + "1,a,0,1,0\n" * 20 + "1,a,8000,0,0\n")
    at_ms = [message.at_ms for turn in read_conversations(path)[0].turns for message in turn.messages]
    assert at_ms == sorted(at_ms)
    assert max(at_ms[:-1]) < 1_000
    assert at_ms[-1] >= 8_000
    assert read_conversations(path) == read_conversations(path)


def test_compressed_files_and_more_columns(tmp_path):
    """A compressed file is known by its content, and columns that are not needed may be there in any order."""
    path = tmp_path / "some.data"
    path.write_bytes(gzip.compress(b"chars,mood,conv,same_author,gap_ms,author\n3,good,1,1,1500,a\n"))
    assert [message.at_ms for message in read_conversations(path)[0].turns[0].messages] == [0, 1_500]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conv,author,gap_ms,chars\n", "line 1: the column same_author is missing"),
        ("", "line 1: the column conv is missing"),
        (HEAD, "there are no rows"),
        (HEAD + "1,a,1,1,1\n1,a,soon,1,1\n", "line 3: gap_ms must be a number from 0 on, and is 'soon'"),
        (HEAD + "1,a,-1,1,1\n", "line 2: gap_ms must be a number"),
        (HEAD + "1,a,nan,1,1\n", "line 2: gap_ms must be a number"),
        (HEAD + "1,a,1,1\n", "line 2: chars must be a number from 0 on, and is None"),
        (HEAD + "1,a,1,yes,1\n", "line 2: same_author must be 0 or 1, and is 'yes'"),
        (HEAD + "1,a,1,1,1\n1,b,1,1,1\n", "line 3: the author does not agree"),
        (HEAD + "1,a,1,0,1\n1,a,1,1,1\n", "line 3: the author does not agree"),
        (HEAD + "1,a,1,1,1\n2,a,1,1,1\n1,a,1,1,1\n", "line 4: the rows of the conversation 1 are not together"),
    ],
)
def test_bad_data_is_told(tmp_path, text, message):
    """The file, the line and the column are named."""
    with pytest.raises(BadData, match=f"some.csv.*{message}"):
        read_conversations(written(tmp_path, text))


def test_fixed_window():
    """A gap longer than the window makes an answer too early; the wait is the window."""
    assert result(FIXED, 0, 8) == TurnResult(premature=0, calls=1, wait_ms=8_000, latency_ms=12_000)
    assert result(FIXED, 0, 8.001) == TurnResult(premature=1, calls=2, wait_ms=8_000, latency_ms=12_000)
    assert result(FIXED, 0, 20, 50) == TurnResult(premature=2, calls=3, wait_ms=8_000, latency_ms=12_000)


def test_a_call_waits_for_the_one_before():
    """A conversation has one call at a time: the next one waits for the answer of a slow agent."""
    assert result(Policy("slow", 3_000, agent_ms=10_000), 0, 4) == TurnResult(1, 2, 9_000, 19_000)


def test_longest_wait():
    """Nobody waits longer than 60 s from the first message, however they go on."""
    assert result(FIXED, *range(0, 64, 7)) == TurnResult(1, 2, 8_000, 12_000)


def test_typing_holds():
    """A burst is held while the next message is typed, if the typing begins before the deadline."""
    assert list(typing_signals(conversation(0, 20, chars=42).turns[0], 1.0)) == [
        *[(-12_000, False), (-2_000, False), (0, True)],
        *[(8_000, False), (18_000, False), (20_000, True)],
    ]
    assert list(typing_signals(conversation(0, 20, chars=42).turns[0], 0.0)) == [(0, True), (20_000, True)]
    seen = FIXED._replace(visible=1.0)
    assert result(seen, 0, 20, chars=42) == TurnResult(0, 1, 8_000, 12_000)
    assert result(seen, 0, 20, chars=35).premature == 1
    assert result(seen._replace(visible=0.0), 0, 20, chars=42).premature == 1


def test_typing_shortens_the_window_of_those_known():
    """The shorter window holds for a person whose typing was seen, which is never so for their first message."""
    seen = FIXED._replace(visible=1.0, typing_ms=3_000)
    turns = conversation(0, chars=7).turns + conversation(30, chars=7).turns
    assert [one.wait_ms for one in replay(Conversation("c", turns), seen, None)] == [8_000, 3_000]


def test_restart():
    """A message before the answer takes the batch back: one answer, two calls; twice at most."""
    policy = restarting(FIXED, 4_000)
    assert result(policy, 0, 12) == TurnResult(0, 2, 8_000, 12_000)
    assert result(policy, 0, 12.001) == TurnResult(1, 2, 8_000, 12_000)
    assert result(policy, 0, 10, 20) == TurnResult(0, 3, 8_000, 12_000)
    assert result(policy, 0, 10, 20, 30) == TurnResult(1, 4, 8_000, 12_000)
    assert result(FIXED, 0, 10).premature == 1


def test_typing_delays_an_answer():
    """Under restart an answer waits, once, while the person types again."""
    policy = restarting(FIXED, 4_000)._replace(visible=1.0)
    assert result(policy, 0, 19, chars=35) == TurnResult(0, 2, 8_000, 12_000)
    assert result(policy._replace(visible=0.0), 0, 19, chars=35).premature == 1
    assert result(policy._replace(restarts_max=0), 0, 19, chars=35).premature == 1
    assert result(policy, 0, 34, chars=84).premature == 1


def test_auto_learns_and_contacts_differ():
    """An auto policy waits as its channel's gaps say, then as the contact's own."""
    gaps = Gaps((0,) * 12 + (2_000,) + (0,) * 11, 5_000)
    policy = Policy("auto", auto=AUTO, has_contacts=True)
    turn = conversation(0, author="b").turns[0]
    waits = {one.wait_ms for one in replay(Conversation("c", (turn,) * 30), policy, gaps)}
    assert len(waits) > 1
    assert waits <= set(range(2_000, 15_001, 100))


def test_the_channel_counts_what_it_can_see():
    """A gap in which an answer was read tells how long it was, at least; the last message of a turn as well."""
    policy = Policy("auto", auto=AUTO, agent_ms=4_000)
    tally = counted([conversation(0, 15, 30.001)], policy, None)
    assert tally.turns == sum(tally.reads) == 2
    assert [at for at, count in enumerate(tally.counts) if count] == [bisect_left(GAP_BOUNDS_MS, 15_000)]
    assert {at for at, count in enumerate(tally.reads) if count} <= {15, 16}
    assert learnt_gaps([conversation(0, 22)], FIXED) is None


def test_a_hold_shows_nothing():
    """A gap that is seen because the burst was held counts as far as an answer would have let it be seen."""
    policy = Policy("auto", auto=AUTO, agent_ms=4_000, visible=1.0)
    tally = counted([conversation(0, 20, chars=42)], policy, None)
    assert (sum(tally.counts), sum(tally.reads), tally.turns) == (0, 2, 2)


def test_believing_what_is_seen_shrinks_the_window():
    """Why the estimate is needed: without it the window follows what it hides."""
    some = [
        Conversation(str(number), conversation(0, gap_s, author=str(number)).turns)
        for number, gap_s in enumerate((1, 2, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14) * 100)
    ]
    policy = Policy("auto", auto=AUTO._replace(split_target=0.25), agent_ms=1_000)
    seen, corrected = (list(windows_by_day(some, policy, 5, is_corrected)) for is_corrected in (False, True))
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] < 4_000
    assert min(corrected[1:]) > 9_000


def test_figures_and_intervals():
    """Shares are per turn; the samples are the same each time; the interval leaves out 2.5 % at each end."""
    some = Score(FIXED, (Sums(2, 1, 3, 4, 16_000, 24_000), Sums(2, 0, 0, 2, 16_000, 24_000)), 8_000)
    assert figures(some) == (0.25, 0.75, 1.5, 8.0, 12.0)
    assert figures(some, [2, 0]) == (0.5, 1.5, 2.0, 8.0, 12.0)
    assert list(samples(3)) == list(samples(3))
    assert {sum(weights) for weights in samples(3)} == {3}
    assert interval(list(range(200))) == Interval(5, 194)


def test_score_of_a_policy():
    """The training part teaches, the other is replayed: each conversation adds its sums."""
    found = score(FIXED, [], [conversation(0), conversation(0, 9)])
    assert found.sums == (Sums(1, 0, 0, 1, 8_000, 12_000), Sums(1, 1, 1, 2, 8_000, 12_000))
    assert policies_table([found]).splitlines()[2].startswith("| fixed | 50.0% [")
    assert divide([conversation(at) for at in range(5)])[0] == [conversation(at) for at in range(3)]


def test_policies_have_names_of_their_own():
    """The table and the levers can be told apart, and the goal's policies are rows of the table."""
    assert len({policy.name for policy in TABLE}) == len(TABLE)
    assert {BASELINE, *EVERYTHING} <= set(TABLE)
    assert all(len(set(family)) == len(family) > 3 for family in FAMILIES.values())


def test_page_has_every_policy():
    """docs/the-wait.md shows the table of the policies that are replayed today, the levers, and the picture."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    tables, _, after = rest.partition(END)
    assert after
    for name in ("chitchat", "meetup"):
        section = tables.partition(f"### {name}\n")[2].partition("###")[0]
        assert [policy.name for policy in TABLE if f"\n| {policy.name} | " not in section] == []
        assert [family for family in FAMILIES if family != "fixed window" and f"\n| {family} | " not in section] == []
    assert f"({WAIT_PICTURE})" in PAGE.read_text(encoding="utf-8")
    assert (DOCS / WAIT_PICTURE).is_file()


def test_page_keeps_what_people_wrote(tmp_path):
    """Only what stands between the marks is written anew; a page without them is left alone."""
    page = written(tmp_path, f"# Before\n{BEGIN}old\n{END}after\n")
    write_tables("new\n", page)
    assert page.read_text(encoding="utf-8") == f"# Before\n{BEGIN}new\n{END}after\n"
    page.write_text("# Before\n", encoding="utf-8")
    with pytest.raises(ValueError, match="lacks the line"):
        write_tables("new\n", page)
    assert page.read_text(encoding="utf-8") == "# Before\n"
