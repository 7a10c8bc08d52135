"""What the projector writes to RQ's registries, and what it leaves alone, on real servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from buffer.models import Conversation
from tests.messages import message
from tests.unit.shower import ANA, Shower, append, client, failed, make_dead, open_shower
from worker.rq import projector
from worker.rq.job_ids import NewJob, letter_id, letter_of_id, shown_id
from worker.rq.projector import PENDING_MAX

__all__ = ["client", "open_shower"]


async def test_nothing_is_written_when_nothing_changes(open_shower: Callable[..., Shower], client: Any) -> None:
    """A second look writes nothing, and a look after one message writes one job."""
    shower = open_shower()
    await append(shower.store, 20)
    assert await shower.projector.look()
    await shower.projector.look()
    assert shower.written == [(0, 20)]
    await shower.store.append([message("m2", Conversation("evolution", "loja", "person-3"))])
    await shower.projector.look()
    assert shower.written == [(0, 20), (0, 1)]
    assert client.zcard("rq:scheduled:flush") == 20


async def test_a_bounded_number_is_shown(open_shower: Callable[..., Shower], client: Any, clock: Any) -> None:
    """Of more pending flushes than PENDING_MAX those are shown that are due first."""
    shower = open_shower()
    first = await append(shower.store, PENDING_MAX)
    clock.advance(1_500)
    await shower.store.append([message("m", Conversation("evolution", "loja", f"late-{n}")) for n in range(50)])
    await shower.projector.look()
    shown = {name.decode() for name in client.zrange("rq:scheduled:flush", 0, -1)}
    assert shown == {shown_id(shower.store.ref(one)) for one in first}


async def test_what_is_due_at_once_is_not_shown(open_shower: Callable[..., Shower], client: Any, clock: Any) -> None:
    """A flush within NEAR_MS is not written any more; one that is overdue by more is."""
    shower = open_shower()
    await append(shower.store, 1)
    clock.advance(7_500)
    await shower.projector.look()
    assert not client.exists("rq:scheduled:flush")
    clock.advance(2_000)
    await shower.projector.look()
    assert client.zcard("rq:scheduled:flush") == 1


async def test_an_idle_worker_puts_looks_off(
    open_shower: Callable[..., Shower], monkeypatch: pytest.MonkeyPatch, client: Any
) -> None:
    """Until something waits, for a bounded time; and never while it shows a job, or while another worker shows."""
    monkeypatch.setattr(projector, "IDLE_CHECK_S", 0.0)
    shower = open_shower()
    told = iter([True, True, False, *[True] * 100])
    asked: list[bool] = []

    def is_idle() -> bool:
        asked.append(next(told))
        return asked[-1]

    async def rest() -> list[bool]:
        asked.clear()
        await shower.projector.look()
        await shower.projector._rest_while_idle()
        return asked

    shower.projector._is_idle = is_idle
    assert await rest() == [True, True, False]
    assert await rest() == [True] * projector.IDLE_CHECKS
    await append(shower.store, 1)
    assert await rest() == []
    client.set("rq:queue:flush:shown-by", "another")
    assert await rest() == []


async def test_without_anything_shown_dead_letters_are_read_each_time(
    open_shower: Callable[..., Shower], client: Any
) -> None:
    """An idle worker looks rarely, so that it does not leave out every other reading of them."""
    shower = open_shower()
    await shower.projector.look()
    flush_id = await make_dead(shower.store, ANA.peer)
    await shower.projector.look()
    assert failed(client) == {letter_id(flush_id)}


async def test_one_worker_shows(open_shower: Callable[..., Shower], client: Any) -> None:
    """While one worker has the lease, another one writes nothing; then it takes over and corrects what it finds."""
    one, other = open_shower("one"), open_shower("other")
    people = await append(one.store, 3)
    assert await one.projector.look()
    assert not await other.projector.look()
    assert other.written == []
    assert 0 < client.pttl("rq:queue:flush:shown-by") <= projector.LEASE_S * 1000
    client.delete("rq:queue:flush:shown-by")
    await other.store.discard(people[0])
    assert await other.projector.look()
    assert not await one.projector.look()
    assert client.zcard("rq:scheduled:flush") == 2
    assert not client.exists(f"rq:job:{shown_id(other.store.ref(people[0]))}")


async def test_what_left_the_registry_is_not_written(open_shower: Callable[..., Shower], client: Any) -> None:
    """A job that was moved to the queue stays there; a finished one makes room for the next burst."""
    shower = open_shower()
    (who,) = await append(shower.store, 1)
    await shower.projector.look()
    job_id = shown_id(shower.store.ref(who))
    client.zrem("rq:scheduled:flush", job_id)
    client.hset(f"rq:job:{job_id}", "status", "queued")
    await shower.projector.look()
    assert not client.exists("rq:scheduled:flush")
    assert client.hget(f"rq:job:{job_id}", "status") == b"queued"
    client.hset(f"rq:job:{job_id}", "status", "finished")
    client.zadd("rq:finished:flush", {job_id: 1})
    client.zadd("rq:queue:flush:finished", {job_id: 9e9})
    await shower.projector.look()
    assert client.zrange("rq:scheduled:flush", 0, -1) == [job_id.encode()]
    assert not client.exists("rq:finished:flush", "rq:queue:flush:finished")


async def test_a_new_job_takes_the_place_of_what_was_shown(open_shower: Callable[..., Shower], client: Any) -> None:
    """The script that enqueues removes what was shown, for a group too; a single job inherits the description."""
    shower = open_shower()
    await shower.store.append([message("m", ANA)])
    people = await append(shower.store, 2)
    await shower.projector.look()
    ref = str(shower.store.ref(ANA))
    group = str(shower.store.ref(people[0])) + shower.store.ref(people[1]).hash
    await shower.queue.enqueue_and_dequeue([NewJob(f"{ref}-7", ref, 1), NewJob(f"{group}-8", group, 2)], 0)
    assert not client.exists("rq:scheduled:flush")
    assert sorted(client.keys("rq:job:*")) == sorted([f"rq:job:{ref}-7".encode(), f"rq:job:{group}-8".encode()])
    text = client.hget(f"rq:job:{ref}-7", "description").decode()
    assert text == "1 message · +55 11 •••• 0061 · evolution/loja"
    assert client.hget(f"rq:job:{group}-8", "description") == b"2 conversations"


async def test_dead_letters_are_bounded(
    open_shower: Callable[..., Shower], client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The latest dead letters are shown; a redriven one leaves; clear removes all."""
    monkeypatch.setattr(projector, "LETTERS_MAX", 2)
    monkeypatch.setattr(projector, "LETTERS_EVERY", 1)
    shower = open_shower()
    flush_ids = [await make_dead(shower.store, f"person-{number}") for number in range(3)]
    await shower.projector.look()
    assert failed(client) == {letter_id(one) for one in flush_ids[1:]}
    await shower.store.redrive(flush_ids[2])
    await shower.projector.look()
    assert failed(client) == {letter_id(flush_ids[1])}
    client.delete("rq:queue:flush:shown-by")
    await shower.projector.clear()
    assert not client.keys("rq:job:*")
    assert not client.keys("rq:results:*")


async def test_finished_jobs_are_deleted_in_time(open_shower: Callable[..., Shower], client: Any) -> None:
    """Those whose time is over, and the oldest of more than FINISHED_MAX; those of other programs stay."""
    shower = open_shower()
    for number, until_s in enumerate((1.0, 9e9, 9.1e9, 9.2e9)):
        client.hset(f"rq:job:j{number}", "status", "finished")
        client.zadd("rq:finished:flush", {f"j{number}": until_s})
        client.zadd("rq:queue:flush:finished", {f"j{number}": until_s})
    client.zadd("rq:finished:flush", {"somebodys": 5})
    await shower.projector._shown(2)
    assert client.zrange("rq:finished:flush", 0, -1) == [b"somebodys", b"j2", b"j3"]
    assert sorted(client.keys("rq:job:*")) == [b"rq:job:j2", b"rq:job:j3"]


@pytest.mark.parametrize(
    "flush_id", ["0-aB_-c0d1e2f3g4h5-1700000000000-0123456789ab", "12-aaaaaaaaaaaaaaaa-9-012345.3"]
)
def test_ids_of_dead_letters(flush_id: str) -> None:
    """The id of a job tells which dead letter it stands for, also for one part of an answer."""
    assert letter_of_id(letter_id(flush_id)) == flush_id


@pytest.mark.parametrize(
    "job_id", ["dead", "dead-0-short-1-ab", "0-aaaaaaaaaaaaaaaa-7", "dead-x-aaaaaaaaaaaaaaaa-1-ab"]
)
def test_other_ids(job_id: str) -> None:
    """No other id is taken for a dead letter."""
    assert letter_of_id(job_id) is None
