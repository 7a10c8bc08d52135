"""The seeded bugs of typing events: the walks of a person whose typing is seen must fail with each."""

from __future__ import annotations

from tests.property.seeded_bug import Mutant

TYPING_MUTANTS = [
    Mutant(
        "typing beyond the longest wait",
        "presence",
        "min(now_ms + hold_ms, conv.opened_ms + max_wait_ms)",
        "now_ms + hold_ms",
    ),
    Mutant("typing shortens", "presence", "deadline_ms > conv.deadline_ms then", "true then"),
    Mutant(
        "typing moves a fired deadline",
        "presence",
        "if not conv.opened_ms or conv.fired then",
        "if not conv.opened_ms then",
    ),
    Mutant("a hold is not noted", "presence", "bit.bor(conv.flags, HELD)", "conv.flags"),
    Mutant("typing again is not let go", "presence", "255 - LET_GO)", "255)"),
    Mutant("stopped twice", "presence", "bit.bor(conv.flags, LET_GO)", "conv.flags"),
    Mutant("stopped before the window is over", "presence", "max(quiet_ms, now_ms + grace_ms)", "now_ms + grace_ms"),
    Mutant("stopped without a grace", "presence", "max(quiet_ms, now_ms + grace_ms)", "max(quiet_ms, now_ms)"),
    Mutant("stopped beyond the longest wait", "presence", "min(conv.opened_ms + max_wait_ms, max(", "(max("),
    Mutant("stopped moves the deadline of a message", "presence", "max(now_ms, quiet_ms) then", "now_ms then"),
    Mutant("stopped prolongs a hold that is over", "presence", "max(now_ms, quiet_ms) then", "quiet_ms then"),
    Mutant("let go without its wake entry", "presence", "    wake_set_and_announce(name, deadline_ms)\n", ""),
    Mutant("hold of a burst that was claimed", "include/seal", "255 - HELD - RESTARTED", "255 - RESTARTED"),
    Mutant("a stranger's typing is noted", "presence", "and conv.ref and", "and"),
    Mutant("every signal is noted", "presence", " >= NOTED_MS then", " > 0 then"),
    Mutant("typing forgotten", "presence", "'presence_ms', now_ms)", "'presence_ms', 0)"),
    Mutant("typing of long ago", "include/typing_window", "< PRESENCE_KNOWN_MS", "< 1e12"),
    Mutant("shorter window for all", "include/typing_window", "if presence_ms and", "if true or presence_ms and"),
    Mutant(
        "longer window for those who type", "include/burst", "typing_ms < quiet_ms then", "typing_ms ~= quiet_ms then"
    ),
]
