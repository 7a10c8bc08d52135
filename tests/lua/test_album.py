"""The messages of an album stay together when a burst is cut."""

from __future__ import annotations

import pytest

from buffer.models import Append, Message
from buffer.stored_message import encode_message
from tests.lua.aliases import deliver
from tests.lua.driver import ANA, WINDOW_MS, ScriptDriver, ids
from tests.messages import message


def part(message_id: str, album_id: str = "a", size: int = 60) -> Append:
    """Return one picture of an album."""
    album = {"album_id": album_id}
    append = encode_message(Message(ANA, message_id, None, "image", extra=album), message_id.encode().ljust(4), (), 0)
    return append._replace(payload=append.payload.ljust(size))


def text(message_id: str, size: int = 60) -> Append:
    return message(message_id, ANA, payload=b'{"message_id":"%s"}'.ljust(size) % message_id.encode())


async def batches(driver: ScriptDriver, *appends: Append) -> list[list[str]]:
    """Append a burst behind a batch in flight, so that no cap cuts it early. Return the batches it is cut into."""
    first = await driver.in_flight("before")
    await driver.store.append(appends)
    await driver.store.ack(driver.ref(), first.token)
    return [ids(batch) for batch in await deliver(driver, ANA)]


@pytest.mark.parametrize("cap", ["messages", "bytes"])
async def test_cut_inside_an_album(open_driver, cap: str):
    """A cap that would cut an album cuts before its first message instead."""
    driver = open_driver(
        **({"message_buffer_max_messages": 3} if cap == "messages" else {"message_buffer_max_bytes": 200})
    )
    assert await batches(driver, text("m1"), part("a1"), part("a2"), part("a3"), text("m2")) == [
        ["m1"], ["a1", "a2", "a3"], ["m2"]
    ]  # fmt: skip


async def test_cut_between_albums(open_driver):
    """A cut between two albums, or behind one, stays in its place."""
    driver = open_driver(message_buffer_max_messages=2)
    appends = [part("a1"), part("a2"), part("b1", "b"), part("b2", "b"), text("m1"), text("m2")]
    assert await batches(driver, *appends) == [["a1", "a2"], ["b1", "b2"], ["m1", "m2"]]


async def test_larger_than_a_batch(open_driver):
    """An album larger than a batch is cut at the cap, and nothing is lost."""
    driver = open_driver(message_buffer_max_messages=2)
    appends = [text("m1"), *(part(f"a{n}") for n in range(5))]
    assert await batches(driver, *appends) == [["m1"], ["a0", "a1"], ["a2", "a3"], ["a4"]]


async def test_messages_without_an_album(open_driver):
    """Messages without an album do not form one."""
    driver = open_driver(message_buffer_max_messages=3)
    assert await batches(driver, *(text(f"m{n}") for n in range(5))) == [["m0", "m1", "m2"], ["m3", "m4"]]


@pytest.mark.parametrize("cap", ["messages", "bytes"])
async def test_cap_that_fires_on_a_part(open_driver, cap: str):
    """If the cap fires on a message of an unfinished album, the album waits and the messages before it are flushed."""
    driver = open_driver(
        **({"message_buffer_max_messages": 3} if cap == "messages" else {"message_buffer_max_bytes": 150})
    )
    await driver.store.append([text("m1"), text("m2"), part("a1")])
    first = await driver.claim_batch()
    assert ids(first) == ["m1", "m2"]
    await driver.store.append([part("a2")])
    await driver.store.ack(driver.ref(), first.token)
    [behind] = await deliver(driver, ANA)
    assert ids(behind) == ["a1", "a2"]


async def test_album_alone_at_the_cap(open_driver):
    """A burst that is only one album is flushed when the cap fires, because waiting cannot make it smaller."""
    driver = open_driver(message_buffer_max_messages=2)
    await driver.store.append([part("a1"), part("a2")])
    assert ids(await driver.claim_batch()) == ["a1", "a2"]


@pytest.mark.parametrize("reason", ["quiet", "keyword", "manual"])
async def test_burst_that_ends_with_an_album(driver: ScriptDriver, reason: str):
    """A burst that closes for another reason than a cap is flushed whole."""
    await driver.store.append([text("m1")._replace(keyword=reason == "keyword"), part("a1")])
    if reason == "manual":
        await driver.store.flush_now(ANA)
    driver.clock.advance(WINDOW_MS)
    batch = await driver.claim_batch()
    assert (len(ids(batch)), batch.reason) == (2, reason)


async def test_every_message_alone(open_driver):
    """With the buffer disabled every message of an album is a flush of its own."""
    driver = open_driver(message_buffer_enabled=False)
    await driver.store.append([text("m1"), part("a1"), part("a2")])
    assert [len(ids(batch)) for batch in await deliver(driver, ANA)] == [1, 1, 1]
