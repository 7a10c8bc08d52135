"""Loads the Lua scripts. buffer/script_calls.py has their arguments and replies."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

VERBS = (
    "append",
    "presence",
    "edit",
    "revoke",
    "dispatch",
    "hold_takeovers",
    "claim",
    "renew",
    "answered",
    "await_answer",
    "post_answer",
    "begin_part",
    "end_part",
    "ack",
    "fail",
    "strike",
    "probe",
    "works",
    "unpark",
    "flush_now",
    "discard",
    "redrive",
    "dead_letters",
    "discard_letter",
    "pause",
    "resume",
    "sweep",
    "repair",
    "snapshot",
    "look",
    "erase",
    "forget_records",
    "pending",
    "upcoming",
    "own_message",
    "part_status",
    "doubts",
    "settle_doubt",
    "announce_owner",
    "tally",
    "fold",
    "set_windows",
)


@dataclass(slots=True, frozen=True)
class Script:
    """One Lua script, its includes inserted."""

    verb: str
    source: str
    sha: str


@cache
def script(verb: str) -> Script:
    """Load a script of `VERBS`: the prelude, then the script with its includes, as a function.

    Lua looks for each variable that a new function takes from its own block in a list of them all. From further outside
    it just takes it: so the names of the prelude, which every function needs, cost nothing.
    """
    source = _lua("include/prelude") + "return (function()\n" + expanded(verb) + "end)()\n"
    return Script(verb, source, sha_of(source))


def sha_of(source: str) -> str:
    """Return the SHA by which EVALSHA names a script."""
    return hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


def expanded(name: str) -> str:
    """Return the text of a Lua file, with each `-- include:` line replaced by that file."""
    return re.sub(r"-- include: (\w+)\n", lambda match: expanded(f"include/{match.group(1)}"), _lua(name))


def _lua(name: str) -> str:
    return (resources.files("buffer") / "lua" / f"{name}.lua").read_text(encoding="utf-8")
