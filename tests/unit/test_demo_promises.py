"""The promises of the demo: each is kept by a good record and broken by the fault that it is about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cli.demo.promises import check_promises
from cli.demo.record import Call, Delivery, Record
from cli.demo.script import ANA, ANSWER_S, BURSTS, INTERRUPTION, STEPS, WINDOW_S

ANSWER_MS = ANSWER_S * 1000
WINDOW_MS = int(WINDOW_S * 1000)
ANA_FIRST, BRUNO, CARLA, ANA_NEXT = range(4)


def delivered(step, at_ms: float, pid: int) -> Delivery:
    return Delivery(step, at_ms, pid, step.again, int(at_ms) + WINDOW_MS)


@pytest.fixture
def record() -> Record:
    """A record of a demo in which everything is as it should be, the calls in the order of BURSTS."""
    sent = [delivered(step, step.at_s * 1000, 100 + index % 2) for index, step in enumerate(STEPS)]
    ana_at = max(item.deadline_ms for item in sent if item.step.person is ANA) + 5
    sent.append(delivered(INTERRUPTION, ana_at + 300, 100))
    calls = []
    for index, burst in enumerate(BURSTS):
        last = max(item.deadline_ms for item in sent if item.step in burst)
        begun = max(last, ana_at + ANSWER_MS) + 5 if index == ANA_NEXT else last + 5
        ids = tuple(step.message_id for step in burst)
        calls.append(Call(burst[0].person.name, ids, f"key-{index}", begun, begun + ANSWER_MS))
    return Record(sent, calls)


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
    assert broken(Record()) == list(range(8))


def test_a_missing_call_breaks_the_first(record):
    """A burst that never reached the agent is noticed."""
    del record.calls[BRUNO]
    assert broken(record) == [0]


def test_a_repeated_call_breaks_the_first(record):
    """The same burst in two calls is noticed, also with a key of its own and one after the other."""
    first = record.calls[CARLA]
    again = replace(first, key="key-9", begun_ms=first.ended_ms + 5, ended_ms=first.ended_ms + 9)
    record.calls.append(again)
    assert broken(record) == [0]


def test_a_divided_burst_breaks_the_first(record):
    """Two calls for one burst are noticed."""
    whole = record.calls[BRUNO]
    change(record, BRUNO, message_ids=whole.message_ids[:1])
    later = replace(whole, message_ids=whole.message_ids[1:], key="key-9", begun_ms=whole.ended_ms + 5)
    record.calls.append(later)
    assert broken(record) == [0]


def test_a_wrong_order_breaks_the_second(record):
    """Messages in another order than they were written are noticed."""
    change(record, ANA_FIRST, message_ids=record.calls[ANA_FIRST].message_ids[::-1])
    assert broken(record) == [1]


def test_a_message_that_nobody_wrote_is_noticed(record):
    """A call may hold only messages of the script."""
    change(record, CARLA, message_ids=("unknown",))
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
    late = replace(record.deliveries[-1], sent_ms=record.calls[ANA_FIRST].ended_ms + 1)
    record.deliveries[-1] = late
    assert broken(record) == [3]


def test_two_calls_at_once_break_the_fifth(record):
    """The next call may not begin before the answer to the one before."""
    change(record, ANA_NEXT, begun_ms=record.calls[ANA_FIRST].ended_ms - 1)
    assert 4 in broken(record)


@pytest.mark.parametrize("key", ["key-0", ""])
def test_a_key_twice_or_missing_breaks_the_sixth(record, key):
    """Each call has a key, and no other call has it."""
    change(record, CARLA, key=key)
    assert broken(record) == [5]


def test_one_process_for_all_breaks_the_seventh(record):
    """The promise is about the four messages of one burst: other messages on another process do not count."""
    record.deliveries = [replace(item, pid=100 if item.step.person is ANA else 101) for item in record.deliveries]
    assert broken(record) == [6]


def test_an_early_call_breaks_the_eighth(record):
    """A call before the deadline of its last message is noticed."""
    change(record, CARLA, begun_ms=record.calls[CARLA].begun_ms - 100)
    assert broken(record) == [7]


def test_late_counts_from_the_answer_before(record):
    """A call that had to wait for the agent is late only from the end of that answer."""
    assert record.late_ms(record.calls[ANA_NEXT]) == 5
    assert record.late_ms(record.calls[ANA_FIRST]) == 5
