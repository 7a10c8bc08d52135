"""announce_owner: two deployments on one Redis with one prefix notice each other."""

from __future__ import annotations

import pytest

from buffer.owner_store import Owners
from buffer.owners import FORGET_MS, RECENT_MS
from tests.lua.driver import ScriptDriver

OURS = {"agent_url": "http://one/"}


@pytest.fixture
def ours(open_driver) -> ScriptDriver:
    """Our deployment."""
    return open_driver(**OURS)


async def test_workers_of_one_deployment(ours: ScriptDriver, open_driver):
    """Several hosts with the same agent and queue are one deployment."""
    second = open_driver(**OURS)
    assert await Owners(ours.store).announce("host-a") is None
    assert await Owners(second.store).announce("host-b") is None
    assert await Owners(ours.store).announce("host-a") is None


@pytest.mark.parametrize(
    ("settings", "word"), [({"agent_url": "http://two/"}, "AGENT_URL"), ({**OURS, "rq_queue": "other"}, "RQ_QUEUE")]
)
async def test_another_deployment(ours: ScriptDriver, open_driver, settings: dict[str, str], word: str):
    """Another agent or another queue is told to both, with the host."""
    other = open_driver(**settings)
    await Owners(ours.store).announce("host-a")
    told = await Owners(other.store).announce("host-b")
    assert told is not None
    assert word in told
    assert "host-a" in told
    assert "host-b" in (await Owners(ours.store).announce("host-a") or "")


async def test_an_old_one_is_no_conflict(ours: ScriptDriver, open_driver):
    """A deployment that has been away for a while is no conflict: somebody changed AGENT_URL."""
    await Owners(open_driver(agent_url="http://two/").store).announce("host-b")
    ours.clock.advance(RECENT_MS - 1)
    assert await Owners(ours.store).conflict() is not None
    ours.clock.advance(1)
    assert await Owners(ours.store).conflict() is None


async def test_changed_settings_are_no_second_deployment(ours: ScriptDriver, open_driver):
    """A worker that stopped has signed off: another agent on the same host is no conflict, and others still are."""
    before, elsewhere = (open_driver(agent_url=f"http://{name}/") for name in ("before", "elsewhere"))
    await Owners(before.store).announce("host-a")
    await Owners(before.store).retire("host-a")
    assert await Owners(ours.store).announce("host-a") is None
    await Owners(elsewhere.store).announce("host-b")
    await Owners(before.store).retire("host-a")
    assert "host-b" in (await Owners(ours.store).announce("host-a") or "")


async def test_a_killed_worker_is_told(ours: ScriptDriver, open_driver):
    """A worker that could not sign off is told, with when this ends, and the text stays the same."""
    await Owners(open_driver(agent_url="http://before/").store).announce("host-a")
    ours.clock.advance(40_000)
    told = await Owners(ours.store).announce("host-a") or ""
    assert "another AGENT_URL on host-a" in told
    assert "counts for 5 minutes" in told
    ours.clock.advance(40_000)
    assert await Owners(ours.store).announce("host-a") == told


async def test_old_ones_are_forgotten(ours: ScriptDriver, open_driver):
    """An owner that was not seen for a day leaves no trace."""
    await Owners(open_driver(agent_url="http://two/").store).announce("host-b")
    ours.clock.advance(FORGET_MS + 1)
    await Owners(ours.store).announce("host-a")
    assert await ours.redis.hlen(ours.partition_key("owners")) == 1


async def test_no_address_is_stored(ours: ScriptDriver, open_driver):
    """The key holds a digest of AGENT_URL, not its password."""
    await Owners(open_driver(agent_url="http://me:hunter2@two/").store).announce("host-b")
    assert "hunter2" not in str(await ours.redis.hgetall(ours.partition_key("owners")))


async def test_looking_changes_nothing(ours: ScriptDriver):
    """`conflict` writes nothing."""
    assert await Owners(ours.store).conflict() is None
    assert await ours.all_keys() == []
