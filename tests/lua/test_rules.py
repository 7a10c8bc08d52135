"""The rules of a route: an open burst carries them to its claim, and no other burst of the call gets them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from buffer.models import Claim, Conversation, Edit
from buffer.rules import AppendRules, append_rules
from buffer.stored_message import encode_edit
from config.settings import Settings
from tests.lua.driver import ANA, BIA, MAX_WAIT_MS, WINDOW_MS, ScriptDriver, ids
from tests.messages import message

LOJA = {"message_buffer_timeout": 3.0, "message_buffer_separator": " | ", "message_buffer_max_messages": 2}


@pytest.fixture
def rules(make_settings: Callable[..., Settings]) -> Callable[..., AppendRules]:
    """Return a function that makes the rules of a route: rules(message_buffer_timeout=3)."""
    return lambda **changed: append_rules(make_settings(**changed), make_settings())


async def say(driver: ScriptDriver, rules: AppendRules, *names: str, to: Conversation = ANA) -> int:
    """Append messages under the rules of a route. Return the deadline."""
    appended = await driver.store.append([message(name, to) for name in names], rules)
    return appended[-1].deadline_ms


async def claim_all(driver: ScriptDriver, *who: Conversation) -> list[Claim]:
    """Claim conversations in one call, in this order."""
    return await asyncio.gather(*(driver.claim(one) for one in who))


async def test_only_other_rules_are_carried(driver: ScriptDriver, rules):
    """A burst carries nothing for the claim if the route has the rules of the environment."""
    assert (rules().special, len(rules(message_buffer_first="immediate", message_max_age=9.0).special)) == (b"", 22)
    await say(driver, rules(message_buffer_first="immediate"), "m1")
    assert "rules" not in await driver.conv()
    await say(driver, rules(**LOJA), "m2")
    assert (await driver.conv())["rules"]


async def test_a_burst_is_sealed_by_its_rules(driver: ScriptDriver, rules):
    """Window, cap and separator are those of the route, and the rest of the burst keeps them."""
    deadline_ms = await say(driver, rules(**LOJA, message_buffer_max_bytes=9_999), "m1")
    assert deadline_ms == driver.clock() + 3_000
    await say(driver, rules(message_buffer_timeout=3.0, message_buffer_separator=" | "), "m2", "m3")
    await say(driver, rules(**LOJA), "m4", "m5")
    first = await driver.claim_batch()
    assert (ids(first), first.separator, first.reason) == (["m1", "m2"], " | ", "max_messages")
    assert await driver.store.ack(driver.ref(ANA), first.token) == "ok"
    second = await driver.claim_batch()
    assert (ids(second), second.separator) == (["m3", "m4"], " | ")
    assert await driver.store.ack(driver.ref(ANA), second.token) == "ok"
    driver.clock.advance(2_999)
    assert (await driver.claim()).status == "early"
    driver.clock.advance(1)
    assert ids(await driver.claim_batch()) == ["m5"]


async def test_a_route_may_flush_every_message_alone(driver: ScriptDriver, rules):
    """A route with the buffer off seals one message at a time, whatever the environment says."""
    await say(driver, rules(message_buffer_enabled=False), "m1", "m2")
    batch = await driver.claim_batch()
    assert (ids(batch), batch.reason) == (["m1"], "disabled")
    await driver.store.ack(driver.ref(ANA), batch.token)
    batch = await driver.claim_batch()
    assert (ids(batch), batch.reason) == (["m2"], "disabled")


async def test_longest_wait_of_the_route(driver: ScriptDriver, rules):
    """A burst that ends by the longest wait of its route says so."""
    short = rules(message_buffer_timeout=3.0, message_buffer_max_wait=5.0)
    await say(driver, short, "m1")
    driver.clock.advance(2_500)
    await say(driver, short, "m2")
    driver.clock.advance(2_500)
    assert (await driver.claim_batch()).reason == "max_wait"


@pytest.mark.parametrize("order", [(ANA, BIA), (BIA, ANA)])
async def test_rules_stay_with_their_burst(driver: ScriptDriver, rules, order):
    """Two bursts that are claimed in one call each get their own rules."""
    await say(driver, rules(**LOJA), "a1", "a2", to=ANA)
    await say(driver, rules(), "b1", "b2", "b3", to=BIA)
    driver.clock.advance(WINDOW_MS)
    found = dict(zip(order, await claim_all(driver, *order), strict=True))
    assert [(ids(found[who].batch), found[who].batch.separator) for who in (ANA, BIA)] == [
        (["a1", "a2"], " | "),
        (["b1", "b2", "b3"], "\n"),
    ]


async def test_unreadable_rules_harm_nobody_else(driver: ScriptDriver, rules):
    """A burst whose rules cannot be read is set aside, and the next one of the call has the environment's rules."""
    await say(driver, rules(**LOJA), "a1", to=ANA)
    await say(driver, rules(), "b1", to=BIA)
    window = await driver.redis.hget(driver.key("conv", ANA), "window")
    await driver.redis.hset(driver.key("conv", ANA), "window", window[:36])
    driver.clock.advance(WINDOW_MS)
    broken, batch = await claim_all(driver, ANA, BIA)
    assert broken.status == "broken"
    assert batch.batch is not None
    assert (ids(batch.batch), batch.batch.separator) == (["b1"], "\n")


async def test_the_last_message_decides(driver: ScriptDriver, rules):
    """After a reload the burst has the rules under which its last message came."""
    await say(driver, rules(**LOJA), "m1")
    await say(driver, rules(), "m2")
    driver.clock.advance(WINDOW_MS - 1)
    assert (await driver.claim()).status == "early"
    driver.clock.advance(1)
    assert (await driver.claim_batch()).separator == "\n"


async def test_rules_survive_a_change_of_the_burst(driver: ScriptDriver, rules, make_settings):
    """Typing, an edit, a revoke and a pause leave the rules of the burst alone."""
    loja = rules(**LOJA)
    await say(driver, loja, "m1")
    driver.clock.advance(1_000)
    await driver.store.presence(ANA, "typing", make_settings(**LOJA))
    await driver.store.edit(ANA, encode_edit(Edit(ANA, "m1", "new", None)))
    await driver.store.pause(ANA, 1_000)
    await driver.store.resume(ANA)
    assert bytes.fromhex((await driver.conv())["rules"]) == loja.special[23:]
    await driver.store.presence(ANA, "stopped", make_settings(**LOJA))
    driver.clock.advance(2_000)
    assert (await driver.claim_batch()).separator == " | "


async def test_typing_of_the_route(driver: ScriptDriver, rules, make_settings):
    """A typing event holds the burst as long as the route says, up to the route's longest wait."""
    opened_ms = driver.clock()
    settings = make_settings(typing_hold=6.0, message_buffer_max_wait=9.0)
    await say(driver, append_rules(settings, make_settings()), "m1")
    driver.clock.advance(4_000)
    assert await driver.store.presence(ANA, "typing", settings) == opened_ms + 9_000


async def test_rules_survive_a_merge(driver: ScriptDriver, rules):
    """Two names of a person that a copy of a message makes one conversation keep the rules of their route."""
    loja, lid = rules(**LOJA), Conversation("evolution", "loja", "1@lid")
    phone = lid._replace(peer="551190000000001")
    for name, who in (("m1", lid), ("m2", phone), ("m1", phone)):
        unique = message(name, who)._replace(is_unique_in_channel=True)
        [appended] = await driver.store.append([unique], loja)
    assert appended.status == "duplicate"
    driver.clock.advance(3_000)
    batch = next(claim.batch for claim in [await driver.claim(lid), await driver.claim(phone)] if claim.batch)
    assert (sorted(ids(batch)), batch.separator) == (["m1", "m2"], " | ")


async def test_first_message_has_a_window_of_its_own(driver: ScriptDriver, rules):
    """The first message of a burst waits for the first window, and later ones for the normal one."""
    first = rules(message_buffer_first=2.0)
    assert await say(driver, first, "m1") == driver.clock() + 2_000
    driver.clock.advance(1_000)
    assert await say(driver, first, "m2") == driver.clock() + WINDOW_MS


async def test_immediate_first_message(driver: ScriptDriver, rules):
    """Without a first window the burst is due at once, and is a quiet one."""
    assert await say(driver, rules(message_buffer_first="immediate"), "m1") == driver.clock()
    batch = await driver.claim_batch()
    assert (ids(batch), batch.reason) == (["m1"], "quiet")


async def test_immediate_burst_that_grows_before_its_claim(driver: ScriptDriver, rules):
    """A second message that comes before the claim makes it a burst like any other."""
    at_once = rules(message_buffer_first="immediate")
    await say(driver, at_once, "m1")
    assert await say(driver, at_once, "m2") == driver.clock() + WINDOW_MS
    assert (await driver.claim()).status == "early"


async def test_two_messages_of_one_call_are_no_first_one(driver: ScriptDriver, rules):
    """Messages that come together: the first opens the burst, and the second waits for the normal window."""
    assert await say(driver, rules(message_buffer_first="immediate"), "m1", "m2") == driver.clock() + WINDOW_MS


async def test_behind_a_batch_the_window_is_normal(driver: ScriptDriver, rules):
    """A person whose batch is in flight is not silent: the next burst has the normal window."""
    at_once = rules(message_buffer_first="immediate")
    await say(driver, at_once, "m1")
    batch = await driver.claim_batch()
    assert await say(driver, at_once, "m2") == driver.clock() + WINDOW_MS
    assert await driver.store.ack(driver.ref(ANA), batch.token) == "ok"
    driver.clock.advance(WINDOW_MS)
    await driver.store.ack(driver.ref(ANA), (await driver.claim_batch()).token)
    assert await say(driver, at_once, "m3") == driver.clock()


async def test_first_window_ends_with_the_longest_wait(driver: ScriptDriver, rules):
    """A first window as long as the longest wait ends then; the script never goes beyond it."""
    assert await say(driver, rules(message_buffer_first=60.0), "m1") == driver.clock() + MAX_WAIT_MS


async def test_keyword_goes_before_the_first_window(driver: ScriptDriver, rules):
    """A first message that is a keyword closes its burst at once."""
    [fired] = await driver.store.append([message("m1", ANA, keyword=True)], rules(message_buffer_first=60.0))
    assert fired.deadline_ms == driver.clock()
    assert (await driver.claim_batch()).reason == "keyword"
