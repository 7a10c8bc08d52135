"""The leases of one process, on a real server: renewed together, and the events that end a call."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest

from buffer.errors import StoreError
from buffer.keys import Ref
from buffer.models import Conversation, Outcome
from buffer.store import Store
from buffer.transport.clients import connect
from tests.conftest import Clock
from tests.messages import message
from tests.servers import Server
from worker.leases import LeaseEnded, Leases

ANA = Conversation("generic", "loja", "ana")
PATIENCE_S = 20
OFTEN: dict[str, Any] = {"flush_lease": 15.0, "flush_renew_interval": 0.02}


async def until(what: str, condition: Callable[..., Any]) -> None:
    """Wait for a condition, which may be awaitable."""
    end = asyncio.get_running_loop().time() + PATIENCE_S
    while asyncio.get_running_loop().time() < end:
        found = condition()
        if await found if asyncio.iscoroutine(found) else found:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"not within {PATIENCE_S} s: {what}")


async def claimed(store: Store, clock: Clock, who: Conversation = ANA) -> str:
    """A conversation in flight; its token."""
    await store.append([message("m1", who)])
    clock.advance(8_000)
    batch = (await store.claim(store.ref(who), "w1")).batch
    assert batch is not None
    return batch.token


class Holder:
    """A task that works under a lease until `end`."""

    def __init__(self, leases: Leases, store: Store, token: str, who: Conversation = ANA, since: float = 0.0) -> None:
        self.enough = asyncio.Event()
        self.begun = asyncio.Event()
        self.rested = asyncio.Event()
        self.task = asyncio.create_task(self._work(leases, store, token, who, since))

    async def _work(self, leases: Leases, store: Store, token: str, who: Conversation, since: float) -> str:
        claimed_at = asyncio.get_running_loop().time() - since
        with leases.of(store.ref(who), token, claimed_at):
            self.begun.set()
            await self.enough.wait()
        await self.rested.wait()
        return "done"

    async def end(self) -> str:
        """Let the work end well."""
        self.enough.set()
        self.rested.set()
        return await asyncio.wait_for(self.task, PATIENCE_S)


async def lease_of(store: Store, who: Conversation = ANA) -> int:
    """The end of a conversation's lease."""
    ref = store.ref(who)
    return int(await store.client.hget(store.keys.of(ref.partition, "conv", ref.hash), "lease_until_ms") or 0)


async def test_a_lease_is_renewed_while_the_work_lasts(valkey: Server, open_store, clock: Clock):
    """The lease is extended by the clock of the server. Afterwards no task renews."""
    store = open_store(valkey, **OFTEN)
    leases = Leases(store, store.settings)
    holder = Holder(leases, store, await claimed(store, clock))
    for _ in range(3):
        clock.advance(10_000)
        await until("renewed", lambda: renewed(store, clock.now_ms))
    assert await holder.end() == "done"
    await until("the renewer has ended", lambda: leases._renewer is None)


async def renewed(store: Store, now_ms: int) -> bool:
    return await lease_of(store) == now_ms + 15_000


@pytest.mark.parametrize("how", [Outcome.LOST, Outcome.CANCELLED])
async def test_a_lease_that_is_gone_ends_the_work(valkey: Server, open_store, clock: Clock, how: Outcome):
    """Another worker has it, or an operator discarded the batch: LeaseEnded is raised in the work, with the outcome."""
    store = open_store(valkey, **OFTEN)
    holder = Holder(Leases(store, store.settings), store, await claimed(store, clock))
    await holder.begun.wait()
    if how is Outcome.LOST:
        clock.advance(15_001)
        await store.claim(store.ref(ANA), "w2")
    else:
        await store.discard(ANA)
    with pytest.raises(LeaseEnded) as over:
        await asyncio.wait_for(holder.task, PATIENCE_S)
    assert over.value.outcome is how
    assert holder.task.cancelling() == 0


async def test_a_batch_that_was_taken_back(valkey: Server, open_store, clock: Clock):
    """A hint makes the lease be renewed at once, long before its interval, and the work ends. Other leases stay."""
    store = open_store(valkey, message_while_answering="restart", flush_lease=60.0, flush_renew_interval=20.0)
    leases = Leases(store, store.settings)
    other = ANA._replace(peer="bia")
    holders = [Holder(leases, store, await claimed(store, clock, who), who) for who in (ANA, other)]
    for holder in holders:
        await holder.begun.wait()
    await store.append([message("m2", ANA)])
    leases.renew_at_once(store.ref(ANA))
    leases.renew_at_once(store.ref(other._replace(peer="nobody")))
    with pytest.raises(LeaseEnded) as over:
        await asyncio.wait_for(holders[0].task, PATIENCE_S)
    assert over.value.outcome is Outcome.SUPERSEDED
    assert await holders[1].end() == "done"


async def test_a_lease_that_was_over_before(store: Store, clock: Clock):
    """A process that was frozen between the claim and the call does not begin."""
    holder = Holder(Leases(store, store.settings), store, await claimed(store, clock), since=15.0)
    with pytest.raises(LeaseEnded, match="lost"):
        await asyncio.wait_for(holder.task, PATIENCE_S)
    assert not holder.begun.is_set()


async def test_a_holder_that_is_cancelled(store: Store, clock: Clock):
    """A shutdown is not taken for the end of a lease."""
    holder = Holder(Leases(store, store.settings), store, await claimed(store, clock))
    await holder.begun.wait()
    holder.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holder.task


async def test_a_lease_that_is_held_again(store: Store, clock: Clock):
    """A renewal during the first hold counts for the second one; between the two nothing renews."""
    leases = Leases(store, store.settings)
    lease = leases.of(store.ref(ANA), await claimed(store, clock), asyncio.get_running_loop().time() - 14.0)
    with lease:
        await leases.renew_all()
    first = lease.until
    await leases.renew_all()
    assert lease.until == first > asyncio.get_running_loop().time() + 10.0
    with lease:
        await leases.renew_all()
    assert lease.until > first
    assert lease.is_live()


async def test_a_lease_that_ended_is_not_held_again(store: Store, clock: Clock):
    """What ended it is said again, and the body does not begin."""
    token = await claimed(store, clock)
    leases = Leases(store, store.settings)
    lease = leases.of(store.ref(ANA), token, asyncio.get_running_loop().time())
    await store.discard(ANA)

    async def hold() -> None:
        with lease:
            await leases.renew_all()
            await asyncio.sleep(PATIENCE_S)

    for _ in range(2):
        with pytest.raises(LeaseEnded, match="cancelled"):
            await hold()
        assert not lease.is_live()
    assert not leases._held


class Held(Store):
    """A store whose renewals stand still on their way to the server until told to go."""

    go: asyncio.Event

    async def renew(self, ref: Ref, token: str) -> Outcome:
        await self.go.wait()
        return await super().renew(ref, token)


async def test_a_holder_that_has_left_is_not_cancelled(store: Store, make_settings, clock: Clock):
    """The batch ends while its renewal is under way: `lost` comes too late to matter."""
    token = await claimed(store, clock)
    held = Held(store.client, make_settings(**OFTEN), clock)
    held.go = asyncio.Event()
    holder = Holder(leases := Leases(held, held.settings), store, token)
    await until("a renewal is under way", lambda: leases._renewals)
    holder.enough.set()
    assert await store.ack(store.ref(ANA), token) is Outcome.OK
    held.go.set()
    await until("nothing is under way", lambda: not leases._renewals and not leases._renewer)
    assert await holder.end() == "done"


async def test_many_leases_share_calls(valkey: Server, open_store, clock: Clock):
    """Two hundred leases that are due together are renewed by a few calls, each to the same moment."""
    store = open_store(valkey, flush_lease=15.0, flush_renew_interval=0.3)
    leases = Leases(store, store.settings)
    people = [ANA._replace(peer=f"p{number}") for number in range(200)]
    await store.append([message("m1", who) for who in people])
    clock.advance(8_000)
    claims = await asyncio.gather(*(store.claim(store.ref(who), "w1") for who in people))
    holders = [Holder(leases, store, claim.batch.token, who) for who, claim in zip(people, claims, strict=True)]
    before, now_ms = await scripts_run(store), clock.advance(1_000)

    async def all_renewed() -> bool:
        return {await lease_of(store, who) for who in people} == {now_ms + 15_000}

    await until("all are renewed", all_renewed)
    assert await scripts_run(store) - before < 40
    assert await asyncio.gather(*(holder.end() for holder in holders)) == ["done"] * 200


async def scripts_run(store: Store) -> int:
    return int((await store.client.info("commandstats"))["cmdstat_evalsha"]["calls"])


async def test_redis_away_for_longer_than_the_lease(start_server, make_settings, clock: Clock):
    """A lease that cannot be renewed may be another worker's: the work ends without a reply from the server."""
    server = start_server()
    settings = make_settings(flush_lease=0.6, flush_renew_interval=0.05)
    store = Store(connect(server.url, timeout_s=0.1), settings, clock)
    holder = Holder(Leases(store, settings), store, await claimed(store, clock))
    await holder.begun.wait()
    server.freeze()
    try:
        with pytest.raises(LeaseEnded, match="lost"):
            await asyncio.wait_for(holder.task, PATIENCE_S)
    finally:
        server.thaw()
        await store.close()


async def test_redis_away_for_less_than_the_lease(start_server, make_settings, clock: Clock):
    """The lease counts from the last renewal: one that fails is asked again, and the work goes on."""
    server = start_server()
    settings = make_settings(**OFTEN)
    store = Store(connect(server.url, timeout_s=0.1), settings, clock)
    leases = Leases(store, settings)
    holder = Holder(leases, store, await claimed(store, clock), since=14.5)
    ended_at = asyncio.get_running_loop().time() + 0.5
    await until("the first lease is over", lambda: asyncio.get_running_loop().time() > ended_at)
    server.freeze()
    try:
        await until("a renewal failed", lambda: asked_again(leases))
    finally:
        server.thaw()
    clock.advance(1_000)
    await until("renewed", lambda: renewed(store, clock.now_ms))
    assert await holder.end() == "done"
    await store.close()


def asked_again(leases: Leases) -> bool:
    """Does a lease wait for longer than a renewal that went well would?"""
    now = asyncio.get_running_loop().time()
    return any(now + 0.1 < lease.renew_at < math.inf for lease in leases._held)


async def test_a_server_that_refuses(valkey: Server, open_store, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    """An error that is no outage is raised in the holder."""
    store = open_store(valkey, **OFTEN)
    holder = Holder(Leases(store, store.settings), store, await claimed(store, clock))
    await holder.begun.wait()

    async def refuse(ref: Ref, token: str) -> Outcome:
        raise StoreError("Redis refused a command: NOPERM")

    monkeypatch.setattr(store, "renew", refuse)
    with pytest.raises(StoreError, match="NOPERM"):
        await asyncio.wait_for(holder.task, PATIENCE_S)
