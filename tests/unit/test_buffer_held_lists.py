"""The lists of dead letters and of parts in doubt: pages over all partitions, whatever goes meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from buffer.held_lists import HeldLists
from buffer.keys import ref_of
from buffer.store import Store
from tests.servers import Server

pytestmark = pytest.mark.server

PARTITIONS = 3


@pytest.fixture
async def store(valkey: Server, open_store: Callable[..., Store]) -> Store:
    """A store of several partitions."""
    return open_store(valkey, redis_partitions=PARTITIONS)


def flush_id(partition: int, number: int) -> str:
    name = ref_of(("generic", "loja", str(number)), 1).hash
    return f"{partition}-{name}-1-{number:06}"


async def bury(store: Store, count: int, *, same_ms: bool = False, gap_ms: int = 1) -> list[str]:
    """Make dead letters in all partitions in turn. Return their ids, oldest first."""
    pipeline = store.client.pipeline(transaction=False)
    made = []
    for number in range(count):
        partition = number % store.settings.redis_partitions
        made.append(((0 if same_ms else number * gap_ms), flush_id(partition, number)))
        pipeline.zadd(store.keys.of(partition, "dead"), {made[-1][1]: made[-1][0]})
        pipeline.hset(store.keys.of(partition, "letter", made[-1][1]), mapping={"gateway": "generic", "error": "no"})
    await pipeline.execute()
    return [held for _, held in sorted(made)]


async def read_all(lists: HeldLists, limit: int, between: Callable[[list[str]], Any] | None = None) -> list[str]:
    """Read page after page, and do something between two of them."""
    seen: list[str] = []
    cursor = None
    while True:
        page = await lists.dead_letters(limit, cursor)
        assert len(page.items) <= limit
        seen += [letter.flush_id for letter in page.items]
        if page.next_cursor is None:
            return seen
        cursor = page.next_cursor
        if between:
            await between(seen)


@pytest.mark.parametrize("limit", [1, 4, 7, 100])
@pytest.mark.parametrize("same_ms", [False, True], ids=["one-a-ms", "all-at-once"])
async def test_every_entry_is_on_one_page(store: Store, limit: int, same_ms: bool):
    """The pages together are the list, oldest first, also where many died at once."""
    made = await bury(store, 20, same_ms=same_ms)
    assert await read_all(HeldLists(store), limit) == made


@pytest.mark.parametrize("same_ms", [False, True], ids=["one-a-ms", "all-at-once"])
async def test_entries_that_go_shift_nothing(store: Store, same_ms: bool):
    """Those that were read are retried or discarded before the next page, and no other is left out."""
    made = await bury(store, 30, same_ms=same_ms)

    async def discard(seen: list[str]) -> None:
        for held in seen:
            await store.discard_letter(held)

    assert await read_all(HeldLists(store), 3, discard) == made


async def test_only_the_last_entry_goes(store: Store):
    """The entry that a cursor names is gone, and all before it are there: the next page still begins after them."""
    made = await bury(store, 30, same_ms=True)

    async def discard(seen: list[str]) -> None:
        await store.discard_letter(seen[-1])

    assert await read_all(HeldLists(store), 3, discard) == made


async def test_the_last_entry_moves(store: Store):
    """The entry that a cursor names has another time by now, after or before all others: the next page skips none."""
    made = await bury(store, 30)

    async def move(seen: list[str]) -> None:
        to_ms = 10_000 + len(seen) if len(seen) < 10 else 0
        await store.client.zadd(store.keys.of(int(seen[-1][0]), "dead"), {seen[-1]: to_ms})

    seen = await read_all(HeldLists(store), 3, move)
    assert set(seen) == set(made)
    assert seen[:30] == made


@pytest.mark.parametrize("same_ms", [False, True], ids=["one-a-ms", "all-at-once"])
@pytest.mark.parametrize("partitions", [1, 3, 12])
async def test_an_offset_leaves_out_entries(
    valkey: Server, open_store: Callable[..., Store], partitions: int, same_ms: bool
):
    """A page behind any number of entries is the part of the list behind them, from its beginning or from a cursor."""
    store = open_store(valkey, redis_partitions=partitions)
    made = await bury(store, 40, same_ms=same_ms, gap_ms=7)
    lists = HeldLists(store)
    for offset in (1, 2, 11, 12, 13, 25, 38, 39):
        page = await lists.dead_letters(4, None, offset)
        assert [letter.flush_id for letter in page.items] == made[offset : offset + 4]
        assert page.total == 40
        assert (page.next_cursor is None) == (offset + 4 >= 40)
    cursor = (await lists.dead_letters(5)).next_cursor
    page = await lists.dead_letters(4, cursor, 6)
    assert [letter.flush_id for letter in page.items] == made[11:15]
    for offset in (40, 41, 100_000):
        page = await lists.dead_letters(4, None, offset)
        assert (page.items, page.next_cursor, page.total) == ([], None, 40)


@pytest.mark.parametrize("partitions", [1, 3])
async def test_an_offset_costs_the_same_wherever_it_leads(
    valkey: Server, open_store: Callable[..., Store], partitions: int
):
    """No entry before the page is read, and the commands grow with the time between the first and the last alone."""
    store = open_store(valkey, redis_partitions=partitions)
    await bury(store, 1000)
    costs = []
    for offset in (2, 500, 980):
        await store.client.config_resetstat()
        await HeldLists(store).dead_letters(10, None, offset)
        stats: Any = await store.client.info("commandstats")
        costs.append(stats["cmdstat_zcount"]["calls"])
        assert stats["cmdstat_hmget"]["calls"] == 10
    assert max(costs) <= 20 * partitions


async def test_total(store: Store):
    """The total is that of all partitions."""
    await bury(store, 20)
    page = await HeldLists(store).dead_letters(5)
    assert (len(page.items), page.total) == (5, 20)


async def test_cost_of_a_page(store: Store):
    """A page of ten runs as many commands beside a thousand entries as beside thirty, and reads no more of them."""
    costs = []
    for count in (30, 1000):
        await bury(store, count)
        await store.client.config_resetstat()
        await HeldLists(store).dead_letters(10)
        stats: Any = await store.client.info("commandstats")
        costs.append({name: stats[name]["calls"] for name in stats if name.startswith("cmdstat_z") or "hmget" in name})
    assert all(first == second for first, second in pairwise(costs))
    assert costs[0]["cmdstat_hmget"] == 10


@pytest.mark.parametrize("cursor", ["", "nonsense", "1~", "~a", "-1~a", "1e3~a", "9" * 16 + "~a", "²~a"])
async def test_wrong_cursor(store: Store, cursor: str):
    """A cursor that no page has given is refused."""
    with pytest.raises(ValueError, match="next_cursor"):
        await HeldLists(store).dead_letters(5, cursor)


async def test_damaged_letter(store: Store):
    """A letter that cannot be read hides no other."""
    made = await bury(store, 3)
    await store.client.set(store.keys.of(1, "letter", made[1]), "damage")
    page = await HeldLists(store).dead_letters(5)
    assert [(letter.flush_id, letter.error) for letter in page.items] == [
        (made[0], "no"),
        (made[1], ""),
        (made[2], "no"),
    ]
    assert [view.letter.flush_id for view in await HeldLists(store).look_at(made)] == made
    await store.client.delete(store.keys.of(1, "letter", made[1]))
