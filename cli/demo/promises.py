"""The promises of the demo, each checked against the record."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import NamedTuple

from cli.demo.record import Record
from cli.demo.script import ANA, BRUNO, BURSTS, CARLA, INTERRUPTION, THANKS, ids

CLOCK_MS = 2
"""Tolerance, because deadlines are whole milliseconds."""


class Promise(NamedTuple):
    """A promise, and True if it was kept."""

    text: str
    kept: bool


def check_promises(record: Record) -> list[Promise]:
    """Check every promise against the record."""
    return [
        Promise("Each burst became exactly one call, with nothing lost and nothing twice", _one_call_each(record)),
        Promise("Each call holds its messages in the order in which they were written", _in_order(record)),
        Promise("The webhook that was delivered twice was stored once", _stored_once(record)),
        Promise("What Ana wrote while the agent was answering went into the next call", _behind(record)),
        Promise("Nobody ever had two calls at the same time", _never_parallel(record)),
        Promise("Each call has an Idempotency-Key of its own", _own_keys(record)),
        Promise("Ana's first four messages were taken in by at least two processes", _spread(record)),
        Promise("No call came before its moment", _never_early(record)),
        Promise("Ana and Bruno got every reply of the agent, each once and in order", _answered(record)),
        Promise(
            "Once a human had answered Carla, the bot said no more to her, and no call was made", _taken_over(record)
        ),
        Promise("The reply whose worker was killed was in doubt and listed, not sent twice", _doubted(record)),
    ]


def _one_call_each(record: Record) -> bool:
    return Counter(frozenset(call.message_ids) for call in record.calls) == Counter(
        frozenset(ids(burst)) for burst in BURSTS
    ) and all(len(set(call.message_ids)) == len(call.message_ids) for call in record.calls)


def _in_order(record: Record) -> bool:
    written = [delivery.step.message_id for delivery in record.deliveries if not delivery.step.again]
    return bool(record.calls) and all(
        list(call.message_ids) == [message_id for message_id in written if message_id in call.message_ids]
        for call in record.calls
    )


def _stored_once(record: Record) -> bool:
    again = [delivery for delivery in record.deliveries if delivery.step.again]
    known = {delivery.step.message_id for delivery in record.deliveries if delivery.duplicate}
    held = Counter(message_id for call in record.calls for message_id in call.message_ids)
    return (
        bool(again)
        and all(delivery.duplicate and held[delivery.step.message_id] == 1 for delivery in again)
        and known == {delivery.step.message_id for delivery in again}
    )


def _behind(record: Record) -> bool:
    sent = [delivery.sent_ms for delivery in record.deliveries if delivery.step is INTERRUPTION]
    calls = record.calls_of(ANA.name)
    if not sent or len(calls) < 2 or calls[0].ended_ms is None:
        return False
    while_answering = calls[0].begun_ms < sent[0] < calls[0].ended_ms
    return while_answering and calls[0].ended_ms <= calls[1].begun_ms and calls[1].message_ids == ids([INTERRUPTION])


def _never_parallel(record: Record) -> bool:
    return bool(record.calls) and all(
        first.ended_ms is not None and first.ended_ms <= second.begun_ms
        for person in {call.person for call in record.calls}
        for first, second in pairwise(record.calls_of(person))
    )


def _own_keys(record: Record) -> bool:
    keys = [call.key for call in record.calls]
    return bool(keys) and all(keys) and len(set(keys)) == len(keys)


def _never_early(record: Record) -> bool:
    return bool(record.calls) and all(record.late_ms(call) >= -CLOCK_MS for call in record.calls)


def _spread(record: Record) -> bool:
    first = ids(BURSTS[0])
    return len({delivery.pid for delivery in record.deliveries if delivery.step.message_id in first}) >= 2


def _answered(record: Record) -> bool:
    return all(
        bool(record.bubbles_of(person.name))
        and [bubble.text for bubble in record.bubbles_of(person.name)]
        == [reply for call in record.calls_of(person.name) for reply in call.replies]
        for person in (ANA, BRUNO)
    )


def _taken_over(record: Record) -> bool:
    replies = [reply for call in record.calls_of(CARLA.name) for reply in call.replies]
    seen = record.bubbles_of(CARLA.name)
    if record.taken_ms is None or not 0 < len(seen) < len(replies):
        return False
    later = [delivery for delivery in record.deliveries if delivery.step is THANKS]
    in_a_call = any(THANKS.message_id in call.message_ids for call in record.calls)
    has_ended = all(bubble.at_ms < record.taken_ms for bubble in seen)
    return has_ended and bool(later) and all(delivery.discarded for delivery in later) and not in_a_call


def _doubted(record: Record) -> bool:
    seen = record.bubbles_of(ANA.name)
    if record.killed_ms is None or len(record.doubts) < 2:
        return False
    listed, *_, at_the_end = record.doubts
    is_once = len({bubble.message_id for bubble in seen}) == len(seen) == len(record.calls_of(ANA.name))
    return is_once and seen[-1].at_ms <= record.killed_ms and len(listed) == 1 and at_the_end == ()
