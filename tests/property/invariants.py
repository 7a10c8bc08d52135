"""The invariants of docs/invariants.md, on everything that lies in Redis."""

from __future__ import annotations

import math
from collections import Counter

from tests.property.compared_system import ComparedSystem
from tests.property.redis_system import Snapshot
from tests.property.walk_settings import PEOPLE


def check(world: ComparedSystem) -> None:
    """Look at every key; what lies there must be what the model says."""
    world.picture = picture = world.system.look()
    assert picture.strays == [], "keys outside the partition's slot"
    assert picture.volatile <= {"timer", "lock"}, "only timers and locks may have a TTL"
    for who in PEOPLE:
        name = world.system.ref(PEOPLE[who]).hash
        _check_place(world, who, name)
        _check_burst(world, who, name)
        _check_wake(world, who, name)
    _check_letters(world, picture)
    _check_ends(world, picture)


def _check_place(world: ComparedSystem, who: str, name: str) -> None:
    """Every message is in one place, in its order; the lock mirrors the lease."""
    talk, picture = world.model.talks[who], world.picture
    assert picture.ids("buffer", name) == [said.id for said in talk.buffer], f"buffer of {who}"
    sealed = talk.batch.messages if talk.batch else []
    assert picture.ids("batch", name) == [said.id for said in sealed], f"batch of {who}"
    lock = [talk.batch.token.encode()] if talk.batch and talk.batch.token else []
    assert picture.values["lock"].get(name, []) == lock, f"lock of {who}"
    letters = [flush_id.encode() for flush_id in talk.redrive]
    assert picture.values["redrive"].get(name, []) == letters, f"letters to redrive of {who}"
    assert picture.values["memory"].get(name, []) == [talk.memory] * bool(talk.memory), f"the agent's memory of {who}"
    presence_ms = picture.table("conv", name).get(b"presence_ms")
    assert presence_ms == (None if talk.presence_ms is None else b"%d" % talk.presence_ms), f"typing of {who}"


def _check_burst(world: ComparedSystem, who: str, name: str) -> None:
    """The open burst is as old and as large, and as soon due, as the model says."""
    talk, conv = world.model.talks[who], world.picture.conv(name)
    found = tuple(int(conv.get(field, 0)) for field in ("opened_ms", "deadline_ms", "depth", "bytes"))
    size = sum(said.size for said in talk.buffer)
    expected = (talk.opened_ms, talk.deadline_ms, len(talk.buffer), size) if talk.buffer else (0, 0, 0, 0)
    assert found == expected, f"the burst of {who}"
    assert conv.get("fired") == talk.fired, f"why the burst of {who} has fired"


def _check_wake(world: ComparedSystem, who: str, name: str) -> None:
    """Whoever holds something has a wake entry, which may be early but never late."""
    talk, wake_ms = world.model.talks[who], world.picture.index("wake").get(name)
    need_ms = world.model.need_ms(who)
    if need_ms < math.inf:
        assert wake_ms is not None, f"{who} is stranded"
        assert wake_ms <= max(need_ms, world.latest_ms[who]), f"{who} is looked at too late"
    elif not talk.paused_until_ms:
        assert wake_ms is None, f"{who} holds nothing, yet is in the wake index"
    assert world.picture.index("idle").get(name) == talk.idle_since_ms, f"idle time of {who}"


def _check_letters(world: ComparedSystem, picture: Snapshot) -> None:
    letters = world.model.letters
    assert set(picture.index("dead")) == set(letters)
    assert set(picture.values["letter"]) == set(letters)
    assert set(picture.values["remains"]) == {flush_id for flush_id, (_, letter) in letters.items() if letter.messages}
    for flush_id, (_, letter) in letters.items():
        assert picture.ids("remains", flush_id) == [said.id for said in letter.messages], "a dead letter is whole"


def _check_ends(world: ComparedSystem, picture: Snapshot) -> None:
    """Every end is recorded and counted once, and what was accepted is somewhere, or its end is counted."""
    totals, model = picture.totals(), world.model
    counted = {name: totals.get(name, 0) for name in model.counters}
    expected = dict(model.counters)
    wrong = {name: (counted[name], expected[name]) for name in expected if counted[name] != expected[name]}
    assert not wrong, f"counted, and by the model: {wrong}"
    ended: Counter[str] = Counter()
    for entry in picture.history():
        ended[entry["outcome"]] += entry.get("messages", 0)
    assert {name: ended[name] for name in model.ended} == dict(model.ended)
    assert set(picture.values["channels"].get("", [])) <= {b"generic:loja"}, "counted for another channel"
    assert picture.gaps() == model.gaps, "gaps between messages"
    gone = ended["acked"] + totals.get("messages_discarded", 0) + model.lost
    taken = totals.get("messages_accepted", 0) + model.refused
    assert taken == picture.held().total() + gone, "messages that no counter tells of"
