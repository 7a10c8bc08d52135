"""The promises of the demo: each is kept by a good record and broken by the fault that it is about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cli.demo.promises import check_promises
from cli.demo.record import Bubble, Call, Delivery, Record
from cli.demo.script import ANA, ANSWER_S, BURSTS, CARLA, INTERRUPTION, SECOND_REPLY, STEPS, THANKS, WINDOW_S

ANSWER_MS = ANSWER_S * 1000
WINDOW_MS = int(WINDOW_S * 1000)
ANA_FIRST, BRUNO, CARLA_PLACE, ANA_NEXT = range(4)
PROMISES = 11
ANSWERED, TAKEN_OVER, DOUBTED = 8, 9, 10


def delivered(step, at_ms: float, pid: int) -> Delivery:
    return Delivery(step, at_ms, pid, step.again, int(at_ms) + WINDOW_MS)


@pytest.fixture
def record() -> Record:
    """A record of a demo in which everything is as it should be, the calls in the order of BURSTS."""
    sent = [delivered(step, step.at_s * 1000, 100 + index % 2) for index, step in enumerate(STEPS)]
    ana_at = max(item.deadline_ms for item in sent if item.step.person is ANA) + 5
    sent.append(delivered(INTERRUPTION, ana_at + 300, 100))
    calls, bubbles = [], []
    for index, burst in enumerate(BURSTS):
        last = max(item.deadline_ms for item in sent if item.step in burst)
        begun = max(last, ana_at + ANSWER_MS) + 5 if index == ANA_NEXT else last + 5
        ids = tuple(step.message_id for step in burst)
        person, ended, reply = burst[0].person, begun + ANSWER_MS, f"reply {index}"
        replies = (reply, SECOND_REPLY) if person is CARLA else (reply,)
        calls.append(Call(person.name, ids, f"key-{index}", begun, ended, replies))
        bubbles.append(Bubble(person.name, reply, f"id-{index}", ended))
    killed, taken = bubbles[ANA_NEXT].at_ms + 1, bubbles[CARLA_PLACE].at_ms + 300
    sent.append(replace(delivered(THANKS, taken + 600, 101), discarded=True))
    return Record(sent, calls, bubbles, taken, killed, [("doubt-1",), ()], len(bubbles))


def broken(record: Record) -> list[int]:
    """The places of the promises that were not kept."""
    return [place for place, promise in enumerate(check_promises(record)) if not promise.kept]


def change(record, index, **fields):
    record.calls[index] = replace(record.calls[index], **fields)


def test_a_good_record_keeps_every_promise(record):
    """Nothing is reported broken when nothing went wrong."""
    assert broken(record) == []


def test_an_empty_record_keeps_no_promise():
    """An empty record keeps no promise."""
    assert broken(Record()) == list(range(PROMISES))


def test_a_missing_call_breaks_the_first(record):
    """A burst that never reached the agent is noticed."""
    del record.calls[BRUNO]
    assert broken(record) == [0, ANSWERED]


def test_a_repeated_call_breaks_the_first(record):
    """The same burst in two calls is noticed, also with a key of its own and one after the other."""
    first = record.calls[CARLA_PLACE]
    again = replace(first, key="key-9", begun_ms=first.ended_ms + 5, ended_ms=first.ended_ms + 9, replies=())
    record.calls.append(again)
    assert broken(record) == [0]


def test_a_divided_burst_breaks_the_first(record):
    """Two calls for one burst are noticed."""
    whole = record.calls[BRUNO]
    change(record, BRUNO, message_ids=whole.message_ids[:1])
    later = replace(whole, message_ids=whole.message_ids[1:], key="key-9", begun_ms=whole.ended_ms + 5, replies=())
    record.calls.append(later)
    assert broken(record) == [0]


def test_a_wrong_order_breaks_the_second(record):
    """Messages in another order than they were written are noticed."""
    change(record, ANA_FIRST, message_ids=record.calls[ANA_FIRST].message_ids[::-1])
    assert broken(record) == [1]


def test_a_message_that_nobody_wrote_is_noticed(record):
    """A call may hold only messages of the script."""
    change(record, CARLA_PLACE, message_ids=("unknown",))
    assert {0, 1} <= set(broken(record))


def test_a_duplicate_that_counts_breaks_the_third(record):
    """A redelivery that the webhook took for a new message is noticed."""
    place = next(place for place, item in enumerate(record.deliveries) if item.step.again)
    record.deliveries[place] = replace(record.deliveries[place], duplicate=False)
    assert 2 in broken(record)


def test_a_duplicate_in_a_call_breaks_the_third(record):
    """A message that is twice in a call is noticed."""
    ids = record.calls[ANA_FIRST].message_ids
    change(record, ANA_FIRST, message_ids=(*ids[:3], ids[2], ids[3]))
    assert {0, 2} <= set(broken(record))


def test_joining_the_call_under_way_breaks_the_fourth(record):
    """The message in between belongs to the next call, not to the one that is being answered."""
    ids = record.calls[ANA_FIRST].message_ids
    change(record, ANA_FIRST, message_ids=(*ids, INTERRUPTION.message_id))
    del record.calls[ANA_NEXT]
    assert 3 in broken(record)


def test_an_interruption_that_came_too_late_breaks_the_fourth(record):
    """A message sent after the answer proves nothing about messages sent before it."""
    place = next(place for place, item in enumerate(record.deliveries) if item.step is INTERRUPTION)
    record.deliveries[place] = replace(record.deliveries[place], sent_ms=record.calls[ANA_FIRST].ended_ms + 1)
    assert broken(record) == [3]


def test_two_calls_at_once_break_the_fifth(record):
    """The next call may not begin before the answer to the one before."""
    change(record, ANA_NEXT, begun_ms=record.calls[ANA_FIRST].ended_ms - 1)
    assert 4 in broken(record)


@pytest.mark.parametrize("key", ["key-0", ""])
def test_a_key_twice_or_missing_breaks_the_sixth(record, key):
    """Each call has a key, and no other call has it."""
    change(record, CARLA_PLACE, key=key)
    assert broken(record) == [5]


def test_one_process_for_all_breaks_the_seventh(record):
    """The promise is about the four messages of one burst: other messages on another process do not count."""
    record.deliveries = [replace(item, pid=100 if item.step.person is ANA else 101) for item in record.deliveries]
    assert broken(record) == [6]


def test_an_early_call_breaks_the_eighth(record):
    """A call before the deadline of its last message is noticed."""
    change(record, CARLA_PLACE, begun_ms=record.calls[CARLA_PLACE].begun_ms - 100)
    assert broken(record) == [7]


def test_late_counts_from_the_answer_before(record):
    """A call that had to wait for the agent is late only from the end of that answer."""
    assert record.late_ms(record.calls[ANA_NEXT]) == 5
    assert record.late_ms(record.calls[ANA_FIRST]) == 5


def test_late_counts_from_the_reply_before(record):
    """A call that had to wait for the reply before it is late only from the moment at which the person had that."""
    call = record.calls[ANA_NEXT]
    record.bubbles[ANA_FIRST] = replace(record.bubbles[ANA_FIRST], at_ms=call.begun_ms - 2)
    assert record.late_ms(call) == 2


@pytest.mark.parametrize("place", [ANA_FIRST, BRUNO])
def test_a_missing_reply_breaks_the_ninth(record, place):
    """A reply that never reached the person is noticed."""
    del record.bubbles[place]
    assert ANSWERED in broken(record)


def test_a_reply_twice_breaks_the_ninth(record):
    """The same reply in two messages is noticed."""
    record.bubbles.append(replace(record.bubbles[BRUNO], message_id="id-9"))
    assert broken(record) == [ANSWERED]


def test_replies_in_another_order_break_the_ninth(record):
    """Ana's second reply before her first is noticed."""
    first, second = record.bubbles[ANA_FIRST], record.bubbles[ANA_NEXT]
    record.bubbles[ANA_FIRST] = replace(first, text=second.text)
    record.bubbles[ANA_NEXT] = replace(second, text=first.text)
    assert broken(record) == [ANSWERED]


def test_a_reply_after_the_human_breaks_the_tenth(record):
    """The bot's second reply to Carla, or any at all after the human's, is noticed."""
    record.bubbles.append(Bubble(CARLA.name, SECOND_REPLY, "id-9", record.taken_ms + 1))
    assert broken(record) == [TAKEN_OVER]


def test_a_takeover_that_ends_nothing_proves_nothing(record):
    """If the agent had nothing more to say to Carla, the tenth promise is not kept."""
    change(record, CARLA_PLACE, replies=("reply 2",))
    assert broken(record) == [TAKEN_OVER]


def test_thanks_that_reach_the_agent_break_the_tenth(record):
    """What Carla writes to the human is in no call, and the webhook says that it was discarded."""
    record.deliveries[-1] = replace(record.deliveries[-1], discarded=False)
    assert broken(record) == [TAKEN_OVER]
    record.deliveries[-1] = replace(record.deliveries[-1], discarded=True)
    change(record, CARLA_PLACE, message_ids=(*record.calls[CARLA_PLACE].message_ids, THANKS.message_id))
    assert TAKEN_OVER in broken(record)


def test_a_resend_breaks_the_eleventh(record):
    """The reply in doubt may not come again, with the same id or another."""
    last = record.bubbles[ANA_NEXT]
    record.bubbles.append(replace(last, at_ms=last.at_ms + 5000))
    assert DOUBTED in broken(record)


@pytest.mark.parametrize("doubts", [[], [("doubt-1",)], [(), ()], [("a", "b"), ()], [("doubt-1",), ("doubt-1",)]])
def test_a_doubt_that_is_not_listed_breaks_the_eleventh(record, doubts):
    """The part must be listed alone after the kill, and no more after its echo."""
    record.doubts = doubts
    assert broken(record) == [DOUBTED]


def test_without_a_kill_the_eleventh_proves_nothing(record):
    """A worker that was never killed keeps no promise about it."""
    record.killed_ms = None
    assert broken(record) == [DOUBTED]
