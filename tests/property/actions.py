"""What can happen, with the choices of each action, and how often a random walk takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, NamedTuple, Protocol

from tests.property.redis_system import DAMAGES
from tests.property.walk_settings import DEDUPE_S, LEASE_S, MAX_AGE_S, MAX_WAIT_S, NAMES, PEOPLE, VISIBILITY_S, WINDOW_S

ANYBODY = tuple(PEOPLE)
ANY = (0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7)
STEPS_MS = (1, 999, 1_000, *(s * 1_000 for s in (5, VISIBILITY_S, WINDOW_S // 2, WINDOW_S, LEASE_S, MAX_WAIT_S)))
LEAPS_MS = (-1, -1_000, -WINDOW_S * 1_000, -LEASE_S * 1_000, DEDUPE_S * 1_000, DEDUPE_S * 1_000 + 1, 86_400_000)
DELAYS_MS = (0, 1, 5_000, 90_000)


class Action(NamedTuple):
    """An action of the world: its choices, and its weight in a random walk."""

    weight: int
    choices: Mapping[str, Sequence[Any]]


Actions = Mapping[str, Action]

WORLD_SCENES: Actions = {
    "split_turn": Action(2, {"who": ANYBODY, "times": (2, 3), "acked": (True, True, False)}),
    "go_on_in_a_hold": Action(2, {"who": ANYBODY, "ms": (40_000, 50_000, 59_000, 70_000)}),
    "fill": Action(3, {"who": ANYBODY, "is_large": (False, True, True)}),
    "say_much": Action(1, {"who": ANYBODY}),
    "try_again": Action(3, {"who": ANYBODY, "mode": ("retry", "retry", "release")}),
    "answer_twice": Action(2, {"who": ANYBODY, "is_late": (False, True, True)}),
    "kill_workers": Action(1, {"who": ANYBODY, "times": (2, 3)}),
    "be_held_up": Action(1, {"who": ANYBODY}),
    "cancel": Action(2, {"who": ANYBODY, "how": ("renew", "renew", "answer", "ack")}),
    "redrive_twice": Action(3, {"who": ANYBODY, "then": ("work", "work", "erase", "die")}),
    "go_on_in_a_pause": Action(2, {"who": ANYBODY, "takeover": (False, False, True), "resumed": (True, True, False)}),
}
"""Scenes of several actions, each of which a random walk would seldom find."""

WORLD_ACTIONS: Actions = {
    **WORLD_SCENES,
    "say": Action(
        16, {"who": ANYBODY, "count": (1, 1, 2, 3, 6), "shift_ms": (0, 0, -9_000, 7), "keyword": (False,) * 5 + (True,)}
    ),
    "say_all": Action(3, {"shift_ms": (0, 5)}),
    "say_beside_sick": Action(5, {"who": ANYBODY, "damage": tuple(DAMAGES), "place": (0, 1, 2)}),
    "resend": Action(4, {"index": ANY}),
    "repeat": Action(4, {"index": ANY}),
    "type": Action(5, {"who": ANYBODY, "kind": ("typing", "stopped")}),
    "dispatch": Action(10, {"limit": (0, 1, 2, 10)}),
    "lose_job": Action(2, {"index": ANY}),
    "duplicate_job": Action(2, {"index": ANY}),
    "work": Action(16, {"index": ANY}),
    "claim": Action(5, {"who": ANYBODY}),
    "claim_again": Action(3, {"index": ANY}),
    "renew": Action(4, {"index": ANY}),
    "answer": Action(3, {"index": ANY}),
    "ack": Action(9, {"index": ANY}),
    "fail": Action(6, {"index": ANY, "mode": ("retry", "retry", "dead", "release"), "delay_ms": DELAYS_MS}),
    "die": Action(4, {"index": ANY}),
    "flush_now": Action(2, {"who": ANYBODY}),
    "discard": Action(4, {"who": ANYBODY}),
    "erase": Action(1, {"who": ANYBODY}),
    "redrive": Action(4, {"index": ANY}),
    "pause": Action(2, {"who": ANYBODY, "pause_ms": (1, 60_000, 400_000), "takeover": (False, True)}),
    "resume": Action(2, {"who": ANYBODY}),
    "pass_time": Action(14, {"ms": STEPS_MS}),
    "pass_time_until_due": Action(14, {"who": ANYBODY}),
    "leap": Action(2, {"ms": LEAPS_MS}),
    "forget_scripts": Action(1, {}),
    "hold": Action(2, {}),
    "sicken": Action(5, {"who": ANYBODY, "how": ("window", "batch", "buffer")}),
    "sweep": Action(2, {}),
    "repair": Action(2, {"lose": (False, True)}),
    "lose_wake_until_duplicate": Action(2, {"who": ANYBODY}),
    "save": Action(3, {}),
    "fail_over": Action(2, {}),
}

AGAIN = (False, False, False, True)
LIMIT_NAMES = ("none", "none", "channel", "person")
PAUSES = (0, 0, 60_000, 400_000)
ENDS = ("sent", "sent", "in_doubt", "later", "limited", "refused", "misconfigured")

SAME = (
    *("say", "dispatch", "lose_job", "work", "claim", "claim_again", "renew", "die", "hold", "discard", "redrive"),
    *("resume", "pass_time", "pass_time_until_due", "sweep", "repair"),
)

SEEN = ("", "echo", "echo after", "sent", "failed", "no id")
QUEUES = (
    ("sent", "sent", "limited", "sent"),
    ("sent", "sent", "sent", "sent"),
    ("later", "later"),
    ("in_doubt", "sent"),
)

REPLY_SCENES: Actions = {
    "serve": Action(
        10,
        {
            "who": ANYBODY,
            "limits": LIMIT_NAMES,
            "how": (None, *ENDS),
            "times": ((0, 0), (7_000, 5_000)),
            "seen": SEEN,
            "again": AGAIN,
        },
    ),
    "queue": Action(
        5,
        {
            "who": ANYBODY,
            "limits": ("channel", "person"),
            "ends": QUEUES,
            "delay_ms": (0, 0, 4_000),
            "again": (False, True),
        },
    ),
    "doubt": Action(5, {"who": ANYBODY, "how": ("sent", "in_doubt"), "seen": (*SEEN[1:], "no id")}),
    "misjudge": Action(2, {"who": ANYBODY, "is_early": (False, True)}),
    "hold_the_channel": Action(2, {"who": ANYBODY, "limits": ("channel", "channel", "none")}),
    "wake_late": Action(2, {"who": ANYBODY, "leaves_late": (False, True)}),
    "begin_too_late": Action(2, {"who": ANYBODY, "is_taken": (False, True)}),
    "answer_too_late": Action(2, {"who": ANYBODY}),
    "take_while_sending": Action(4, {"who": ANYBODY, "how": ENDS, "is_late": (False, False, True)}),
    "take_before": Action(3, {"who": ANYBODY, "is_answered": (False, True)}),
    "hand_over": Action(2, {"who": ANYBODY, "gives_back": (False, True)}),
    "interrupt": Action(2, {"who": ANYBODY, "limits": LIMIT_NAMES}),
    "die_while_sending": Action(2, {"who": ANYBODY, "then": ("work", "work", "die")}),
    "send_again": Action(2, {"who": ANYBODY, "then": ("work", "die"), "action": ("send", "send", "drop")}),
    "grow_old": Action(1, {"who": ANYBODY}),
}
"""Scenes of workers that answer people."""

REPLY_ACTIONS: Actions = {
    **REPLY_SCENES,
    **{name: WORLD_ACTIONS[name] for name in SAME},
    "fail": Action(2, {"index": ANY, "mode": ("retry", "dead", "release"), "delay_ms": DELAYS_MS}),
    "pause": Action(2, {"who": ANYBODY, "pause_ms": (1, 60_000, 400_000), "takeover": (False, True)}),
    "reply": Action(
        14, {"index": ANY, "texts": ((), (1,), (1, 2), (3, 0, 1), (2, 2)), "delay_ms": (0, 0, 4_000), "again": AGAIN}
    ),
    "reply_late": Action(2, {"index": ANY}),
    "begin": Action(20, {"index": ANY, "own": (False, True), "limits": LIMIT_NAMES, "again": AGAIN}),
    "begin_late": Action(2, {"index": ANY}),
    "leave": Action(14, {"index": ANY}),
    "end": Action(
        16,
        {
            "index": ANY,
            "how": ENDS,
            "times": ((0, 0), (0, 0), (7_000, 0), (7_000, 60_000)),
            "again": AGAIN,
            "has_id": (True, True, True, False),
        },
    ),
    "ack": Action(9, {"index": ANY, "pause_ms": (0, 0, 0, 60_000)}),
    "echo": Action(8, {"index": ANY, "by_own_id": (False, True), "by_text": (False, True, True)}),
    "report": Action(4, {"index": ANY, "state": ("sent", "sent", "failed"), "by_own_id": (False, True)}),
    "write": Action(3, {"who": ANYBODY, "text": (0, 1, 2, 3), "pause_ms": PAUSES}),
    "command": Action(2, {"who": ANYBODY, "action": ("resume", "take"), "pause_ms": (60_000, 400_000)}),
    "settle": Action(4, {"index": ANY, "action": ("send", "send", "drop")}),
}
"""A world whose workers answer people. Nothing is rolled back: a lost mark may send a part again."""

GO_ON = {
    "who": ANYBODY,
    "count": (1, 1, 1, 2, 3),
    "times": ((0, True), (0, True), (1_000, False), (40_000, True), (200_000, False)),
}
SAY_QUEUED = Action(5, {"who": ANYBODY, "count": (1, 1, 2)})
GO_ON_AND_ON = Action(4, {"who": ANYBODY, "times": (1, 2, 3), "dies": (False, False, True)})

RESTART_ACTIONS: Actions = {
    **WORLD_ACTIONS,
    "say_queued": SAY_QUEUED,
    "go_on_and_on": GO_ON_AND_ON,
    "go_on": Action(
        24,
        {
            **GO_ON,
            "hears": (
                *("renew", "answer", "ack", "release", "retry", "dead", "die", "nothing"),
                *("later", "later", "answered", "killer", "redriven", "cancelled"),
            ),
        },
    ),
}
"""The world, of which a part has MESSAGE_WHILE_ANSWERING=restart."""

RESTART_REPLY_ACTIONS: Actions = {
    **REPLY_ACTIONS,
    "say_queued": SAY_QUEUED,
    "go_on_and_on": GO_ON_AND_ON,
    "go_on": Action(
        30,
        {
            **GO_ON,
            "hears": (
                *("renew", "answer", "ack", "release", "retry", "die", "begin", "nothing"),
                *("later", "put back", "sending", "one sent"),
            ),
        },
    ),
}

WHO = tuple(NAMES)
ONE = (0, 1, 2)
ALIAS = (None,) * 7 + (0, 1, 2)
LATE = (0, 0, 0, 0, 1, 1, 2, 5)
PAUSES_MS = (1, 999, *(s * 1_000 for s in (5, WINDOW_S // 2, WINDOW_S, LEASE_S, MAX_WAIT_S, MAX_WAIT_S)))
EDITS_MS = (None, 0, -5_000, 5_000)

BEFORE = (
    "nothing",
    "said",
    "itself",
    "long",
    "fired",
    "served",
    "served",
    "dead",
    "redriven",
    "paused",
    "taken",
    "early",
)
MEETINGS = (
    *((first, second) for first in BEFORE for second in BEFORE),
    *(("itself", "copied"), ("told", "copied"), ("long", "said"), ("redriven", "said"), ("said", "fired")) * 12,
)
THEN = ("claim", "claim", "type", "flush_now", "discard", "resume", "redrive", "change", "say_at_last")

CROWD_SCENES: Actions = {
    "meet_anew": Action(
        8,
        {
            "who": WHO,
            "before": MEETINGS,
            "then": THEN,
            "media": (False, True),
            "how": ("says", "says", "repeats", "by id"),
            "first": (0, 0, 1),
        },
    ),
    "serve_both": Action(2, {"who": WHO, "media": (False, True)}),
    "chain": Action(1, {"who": ("ana",), "first": ONE}),
    "overtake": Action(4, {"who": WHO, "one": ONE, "alias": ALIAS, "revoke": (False, False, True)}),
    "edit_twice": Action(
        4,
        {
            "who": WHO,
            "one": ONE,
            "shifts": ((5_000, -5_000), (0, 5_000), (None, None)),
            "is_served": (False, False, True),
        },
    ),
}
"""Scenes of people with several names."""

CROWD_ACTIONS: Actions = {
    **CROWD_SCENES,
    "say": Action(
        18,
        {
            "who": WHO,
            "one": ONE,
            "alias": ALIAS,
            "count": (1, 1, 2, 3),
            "media": (False, True),
            "album": (False, False, True),
            "shift_ms": (0, 0, -9_000, 7, -MAX_AGE_S * 1_000 - 1),
        },
    ),
    "say_at_last": Action(6, {"index": ANY, "one": ONE, "alias": ALIAS}),
    "resend": Action(3, {"index": ANY}),
    "repeat": Action(10, {"index": ANY, "one": ONE, "alias": (None, None, 0, 1, 2)}),
    "meet": Action(6, {"who": WHO, "alias": ONE}),
    "type": Action(6, {"who": WHO, "one": ONE, "kind": ("typing", "typing", "stopped")}),
    "edit": Action(12, {"index": ANY, "one": ONE, "shift_ms": EDITS_MS}),
    "edit_before": Action(2, {"who": WHO, "one": ONE, "shift_ms": EDITS_MS}),
    "revoke": Action(4, {"index": ANY, "one": ONE}),
    "revoke_before": Action(2, {"who": WHO, "one": ONE}),
    "dispatch": Action(8, {"limit": (1, 10)}),
    "work": Action(12, {"index": LATE}),
    "claim": Action(4, {"who": WHO, "one": ONE}),
    "claim_again": Action(2, {"index": ANY}),
    "ack": Action(5, {"index": LATE}),
    "fail": Action(10, {"index": LATE, "mode": ("dead", "dead", "retry", "release"), "delay_ms": DELAYS_MS}),
    "serve": Action(6, {"who": WHO, "one": ONE, "end": (None, "dead")}),
    "die": Action(1, {"index": ANY}),
    "flush_now": Action(4, {"who": WHO, "one": ONE}),
    "discard": Action(2, {"who": WHO, "one": ONE}),
    "redrive": Action(8, {"index": ANY}),
    "pause": Action(4, {"who": WHO, "one": ONE, "pause_ms": (1, 60_000, 400_000, 400_000), "takeover": (False, True)}),
    "resume": Action(5, {"who": WHO, "one": ONE}),
    "pass_time": Action(10, {"ms": PAUSES_MS}),
    "pass_time_until_due": Action(10, {}),
    "pass_time_until_forgotten": Action(2, {"ms": (-1_000, 0, 1_001)}),
    "sweep": Action(2, {}),
    "go_away": Action(3, {}),
    "repair": Action(2, {}),
}

TYPING_ACTIONS: Actions = {
    "say": Action(8, {"who": ("ana",), "count": (1,), "shift_ms": (0,), "keyword": (False,) * 9 + (True,)}),
    "resend": Action(1, {"index": ANY}),
    "type": Action(24, {"who": ("ana", "ana", "ana", "bia"), "kind": ("typing", "stopped")}),
    "claim": Action(6, {"who": ("ana",)}),
    "ack": Action(5, {"index": ANY}),
    "fail": Action(1, {"index": ANY, "mode": ("retry", "dead", "release"), "delay_ms": DELAYS_MS}),
    "flush_now": Action(1, {"who": ("ana",)}),
    "discard": Action(1, {"who": ("ana",)}),
    "pause": Action(1, {"who": ("ana", "bia"), "pause_ms": (1, 60_000), "takeover": (False, True)}),
    "resume": Action(2, {"who": ("ana", "bia")}),
    "pass_time": Action(24, {"ms": (1, 1_000, 9_999, 14_000, 34_000, 45_000, 60_000)}),
    "pass_time_until_due": Action(4, {"who": ("ana",)}),
    "sicken": Action(1, {"who": ("ana",), "how": ("window",)}),
}
"""What can happen to a person whose typing is seen."""

RESTART_CROWD_ACTIONS: Actions = {
    **CROWD_ACTIONS,
    "go_on": Action(
        24,
        {
            "who": WHO,
            "one": ONE,
            "alias": ALIAS,
            "count": (1, 1, 2),
            "media": (False, True),
            "end": (None, None, "release", "release", "retry", "dead"),
        },
    ),
    "edit_while_taken_back": Action(8, {"who": WHO, "one": ONE, "shift_ms": EDITS_MS, "revoke": (False, False, True)}),
}


class Walkable(Protocol):
    """What actions are done to: a World, or a Crowd."""

    def check(self) -> None:
        """Look at every key."""

    def drain(self) -> None:
        """Heal everything and deliver what was accepted."""


def act(world: Walkable, name: str, choices: dict[str, Any]) -> None:
    """One action, and the check after it."""
    getattr(world, name)(**choices)
    world.check()


def walk(world: Walkable, actions: Actions, seed: int, steps: int) -> None:
    """A random walk that is the same for the same seed; what was accepted is delivered at its end."""
    random = Random(seed)
    names, weights = list(actions), [action.weight for action in actions.values()]
    for name in random.choices(names, weights, k=steps):
        act(world, name, {key: random.choice(values) for key, values in actions[name].choices.items()})
    world.drain()
