"""Windows that channels find for themselves: the worker finds and notes them, the webhook reads them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from buffer.auto_windows import FIELDS, AutoWindows, gaps_in, usual_ms, window_in
from buffer.habits import Habits, pack_habits, unpack_habits
from buffer.models import Before, Conversation
from buffer.store import Store
from buffer.window_policy import AutoPolicy, Window, channel_window, explores
from buffer.windows import pack_window
from config.routes import Routes
from config.settings import Settings
from tests.servers import Server
from webhook.windows import ChannelWindows
from worker.windows import Windows

LOJA, OTHER = ("generic", "loja"), ("generic", "other")
POLICY = AutoPolicy(2_000, 15_000, 0.15)
GAPS = [0] * 4 + [40, 50, 60, 70, 60, 50, 40, 30, 20, 10, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5]


@pytest.fixture
def auto(make_settings: Callable[..., Settings]) -> Routes:
    """Routes whose only one is `auto`."""
    return Routes(make_settings(message_buffer_timeout="auto"))


async def count(store: Store, channel: tuple[str, str], gaps: Sequence[object], turns: object) -> None:
    """Write the gaps of a channel into its tally."""
    member = ":".join(channel)
    await store.client.sadd(store.keys.of(0, "channels"), member)
    fields: dict[Any, Any] = {name: str(value) for name, value in zip(FIELDS, (turns, *gaps), strict=False)}
    await store.client.hset(store.keys.of(0, "tally", member), mapping=fields)


async def test_a_round_notes_the_window_of_each_channel(store: Store, auto: Routes):
    """A channel with enough turns gets its own window, one with few keeps the start."""
    await count(store, LOJA, GAPS, 400)
    await count(store, OTHER, GAPS, 299)
    await Windows(store, auto).find()
    found = await AutoWindows(store).read()
    assert found[OTHER] == (8_000, "auto_start")
    assert found[LOJA].why == "auto_channel"
    assert found[LOJA] == channel_window(gaps_in([str(n).encode() for n in (400, *GAPS, *[0] * 24)]), POLICY)
    assert found[LOJA].window_ms != 8_000


async def test_a_call_that_can_be_taken_back_shortens_the_window(store: Store, make_settings):
    """With `restart` the window is shorter by what half of the calls take at least; without it, it is not."""
    tally = store.keys.of(0, "tally", ":".join(LOJA))
    await count(store, LOJA, GAPS, 400)
    await store.client.hset(tally, mapping={"agent_ms:4": "3", "agent_ms:5": "5", "agent_ms:8": "1"})
    windows = {}
    for while_answering in ("queue", "restart"):
        settings = make_settings(message_buffer_timeout="auto", message_while_answering=while_answering)
        await Windows(store, Routes(settings)).find()
        windows[while_answering] = (await AutoWindows(store).read())[LOJA].window_ms
    assert windows["restart"] == max(POLICY.min_ms, windows["queue"] - 2_500)


@pytest.mark.parametrize("values", [None, [], [b"0"] * 11, [b"x"] * 11, [b"-1", *[b"1"] * 10], [b"7", *[None] * 10]])
def test_what_an_agent_takes_is_unknown(values):
    """Without calls, with fields that no script has written, and for the fastest agents, nothing is subtracted."""
    assert usual_ms(values) == 0


async def test_only_auto_routes_are_looked_at(store: Store, make_settings, tmp_path: Path):
    """A channel with a fixed window gets none, and nothing is read where no route is auto."""
    file = tmp_path / "routes.toml"
    file.write_text('[generic.loja]\nwindow = "auto"\nauto_max = 5\n')
    await count(store, LOJA, GAPS, 100)
    await count(store, OTHER, GAPS, 400)
    await Windows(store, Routes(make_settings())).find()
    assert await AutoWindows(store).read() == {}
    await Windows(store, Routes(make_settings(routes_file=str(file)))).find()
    assert await AutoWindows(store).read() == {LOJA: (5_000, "auto_start")}


@pytest.mark.parametrize(
    ("gaps", "turns"),
    [
        ([*GAPS[:-1], "malformed"], 400),
        ([*GAPS[:-1], -4], 400),
        (GAPS, "malformed"),
        ([*GAPS[:-1], 500], 0),
        ([*GAPS[:-1], 500], 400),
    ],
    ids=["no number", "negative", "no turns", "an older version", "more ends than turns"],
)
async def test_a_histogram_that_cannot_be(store: Store, auto: Routes, gaps, turns, capfd):
    """It means the start window, which is said once."""
    await count(store, LOJA, gaps, turns)
    windows = Windows(store, auto)
    for _ in range(3):
        await windows.find()
    assert await AutoWindows(store).read() == {LOJA: (8_000, "auto_broken")}
    assert capfd.readouterr().out.count("the gaps of a channel cannot be read") == 1
    await count(store, LOJA, GAPS, 400)
    await windows.find()
    assert (await AutoWindows(store).read())[LOJA].why == "auto_channel"


async def test_a_tally_of_another_type(store: Store, auto: Routes):
    """It is no reason to stop: the channel has the start window, and the others have their own."""
    await count(store, OTHER, GAPS, 400)
    await store.client.sadd(store.keys.of(0, "channels"), "generic:loja")
    await store.client.set(store.keys.of(0, "tally", "generic:loja"), "another type")
    await Windows(store, auto).find()
    found = await AutoWindows(store).read()
    assert (found[LOJA].why, found[OTHER].why) == ("auto_broken", "auto_channel")


async def test_windows_of_another_type_are_set_aside(store: Store):
    """What lies in the place of the windows is kept as evidence, and reads as nothing."""
    key = store.keys.of(0, "windows")
    await store.client.set(key, "another type")
    assert await AutoWindows(store).read() == {}
    await AutoWindows(store).write({LOJA: Window(5_000, "auto_channel")})
    assert await AutoWindows(store).read() == {LOJA: (5_000, "auto_channel")}
    assert await store.client.get(store.keys.of(0, "sick", "windows")) == b"another type"


@pytest.mark.parametrize("value", [b"", b"8000", b"8000 fixed", b"-1 auto_channel", b"x auto_channel", b"9" * 13])
def test_a_window_that_no_script_wrote(value: bytes):
    """It counts as missing."""
    assert window_in(value) is None


def person(number: int) -> Conversation:
    """Return a person of the channel."""
    return Conversation(*LOJA, f"p{number}")


def quiet_person(hour: int) -> Conversation:
    """Return a person who does not explore in this hour."""
    return next(one for number in range(100) if not explores(":".join(one := person(number)), hour))


async def test_the_webhook_stamps_what_is_in_force(store: Store, auto: Routes, monkeypatch):
    """Unknown is the start; then what Redis says, within the bounds; and without a word of it what was known."""
    monkeypatch.setattr("webhook.windows.time.time", lambda: 0.0)
    windows, ana = ChannelWindows(auto), quiet_person(0)
    assert windows.of(ana, POLICY) == pack_window(8_000, "auto_start")
    await AutoWindows(store).write({LOJA: Window(5_200, "auto_channel")})
    await windows.read(store)
    assert windows.of(ana, POLICY) == pack_window(5_200, "auto_channel")
    assert windows.of(ana, POLICY._replace(min_ms=6_000)) == pack_window(6_000, "auto_channel")
    assert windows.of(ana, POLICY._replace(max_ms=5_000)) == pack_window(5_000, "auto_channel")
    await store.client.delete(store.keys.of(0, "windows"))
    await windows.read(store)
    assert windows.of(ana, POLICY) == pack_window(5_200, "auto_channel")


async def test_the_webhook_without_redis(start_server: Callable[..., Server], open_store, auto: Routes):
    """A read that fails changes nothing, and raises nothing."""
    server = start_server()
    store = open_store(server)
    windows = ChannelWindows(auto)
    server.kill()
    await windows.read(store)
    assert windows.of(quiet_person(int(time.time() // 3600)), POLICY)[6] in (4, 7)


async def test_few_people_explore_for_an_hour(auto: Routes, monkeypatch):
    """One of twenty keeps the longest window for the hour, and another one in the next."""
    windows = ChannelWindows(auto)
    longest = pack_window(15_000, "auto_explore")
    found = []
    for hour in (10, 11):
        monkeypatch.setattr("webhook.windows.time.time", lambda now=hour * 3600 + 7: float(now))
        found.append({one for one in map(person, range(2_000)) if windows.of(one, POLICY) == longest})
    assert all(60 <= len(some) <= 140 for some in found)
    assert len(found[0] & found[1]) < 20


def batch(*received_ms: int, habits: bytes = b"", before: Before | None = None, channel: str = "loja") -> Any:
    """Return what is looked at of a batch."""
    messages = [SimpleNamespace(received_ms=at) for at in received_ms]
    conversation = Conversation("generic", channel, "ana")
    return SimpleNamespace(conversation=conversation, messages=messages, habits=habits, before=before)


async def test_the_habits_of_a_batch(store: Store, auto: Routes):
    """The gaps are added, and the window is that of the contact once the channel has one of its own."""
    await count(store, LOJA, GAPS, 400)
    windows = Windows(store, auto)
    known = Habits((0,) * 7, 4_000)
    flushed = batch(9_000, 1_000, 3_500, habits=pack_habits(known))
    assert unpack_habits(windows.habits_of(flushed)).window_ms == 4_000
    await windows.find()
    found = unpack_habits(windows.habits_of(flushed))
    assert sum(found.counts) == 2
    assert POLICY.min_ms <= found.window_ms <= POLICY.max_ms
    before = Before(last_ms=0, acked_ms=0)
    assert sum(unpack_habits(windows.habits_of(batch(1_000, before=before))).counts) == 1
    assert unpack_habits(windows.habits_of(batch(1_000, channel="other"))).window_ms == 0


async def test_contacts_of_a_broken_channel_have_no_window(store: Store, auto: Routes):
    """The fixed window holds for all of them."""
    await count(store, LOJA, GAPS, "malformed")
    windows = Windows(store, auto)
    await windows.find()
    known = pack_habits(Habits((9,) * 7, 4_000))
    assert unpack_habits(windows.habits_of(batch(1_000, 2_000, habits=known))).window_ms == 0


def test_fixed_windows_keep_no_habits(store: Store, make_settings):
    """Nothing is written for a route with a fixed window."""
    windows = Windows(store, Routes(make_settings()))
    assert windows.habits_of(batch(1_000, 2_000)) == b""
