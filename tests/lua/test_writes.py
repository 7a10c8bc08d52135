"""append, edit and revoke write on every call, whatever they return.

WAIT and WAITAOF (DURABILITY) cover the last write of their own connection. Behind a script that wrote nothing they
return at once, while the original of a repeated message, sent on another connection, may not be durable yet.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from buffer.models import Append, Change, PauseMode
from tests.lua.driver import ANA, ScriptDriver
from tests.messages import message

REQUEST = message("m1", ANA, nonce=b"aaaa")
M1 = REQUEST.fingerprint

Says = Callable[[ScriptDriver], Awaitable[str]]


def append(request: Append) -> Says:
    async def append(driver: ScriptDriver) -> str:
        return (await driver.store.append([request]))[0].status

    return append


def edit(edited_ms: int) -> Says:
    async def append(driver: ScriptDriver) -> str:
        return await driver.store.edit(ANA, Change(M1, edited_ms, b"{}"))

    return append


async def revoke(driver: ScriptDriver) -> str:
    return await driver.store.revoke(ANA, M1)


async def seal(driver: ScriptDriver) -> str:
    await driver.store.flush_now(ANA)
    return (await driver.claim()).status


async def take_over(driver: ScriptDriver) -> str:
    return str(await driver.store.pause(ANA, mode=PauseMode.TAKEOVER))


NEW, STALE = append(REQUEST), append(message("m1", ANA, order_ms=1))

ANSWERS = [
    ([], NEW, "new"),
    ([NEW], NEW, "new"),
    ([NEW, seal], NEW, "new"),
    ([NEW], append(message("m1", ANA)), "duplicate"),
    ([NEW, seal], append(message("m1", ANA)), "duplicate"),
    ([NEW, take_over], append(message("m2", ANA)), "discarded"),
    ([revoke], NEW, "revoked"),
    ([], STALE, "stale"),
    ([NEW], edit(5), "changed"),
    ([NEW, edit(5)], edit(5), "changed"),
    ([NEW, edit(6)], edit(5), "older"),
    ([NEW, seal], edit(5), "late"),
    ([], edit(5), "early"),
    ([edit(5)], edit(5), "early"),
    ([edit(6)], edit(5), "older"),
    ([revoke], edit(5), "older"),
    ([NEW], revoke, "removed"),
    ([NEW, revoke], revoke, "late"),
    ([NEW, seal], revoke, "late"),
    ([], revoke, "early"),
    ([revoke], revoke, "early"),
]


@pytest.mark.parametrize(("before", "says", "answer"), ANSWERS)
async def test_no_answer_without_a_write(
    open_driver: Callable[..., ScriptDriver], before: list[Says], says: Says, answer: str
) -> None:
    """Every call moves the replication offset: the server counts a change."""
    driver = open_driver(message_max_age=3600)
    for step in before:
        await step(driver)
    changes = await changes_of(driver)
    assert await says(driver) == answer
    assert await changes_of(driver) > changes


async def test_a_resend_is_counted(driver: ScriptDriver) -> None:
    """A request resent after a lost reply gets the same reply and counts as neither new nor duplicate."""
    first = await driver.store.append([REQUEST])
    assert await driver.store.append([REQUEST]) == first
    counters = await driver.counters()
    assert (counters["messages_accepted"], counters["messages_duplicate"], counters["resent"]) == (1, 0, 1)


async def changes_of(driver: ScriptDriver) -> int:
    return int((await driver.redis.info("persistence"))["rdb_changes_since_last_save"])
