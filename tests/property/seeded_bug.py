"""A seeded bug changes one place in one Lua file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from buffer import scripts
from buffer.scripts import Script


class Mutant(NamedTuple):
    """One seeded bug: the name of it, the Lua file without suffix, the text to replace, its replacement."""

    bug: str
    file: str
    old: str
    new: str


def loader(mutant: Mutant) -> Callable[[str], Script]:
    """Return a loader of scripts with the bug. Raises AssertionError unless its file has the text exactly once."""
    text = scripts.expanded(mutant.file)
    assert text.count(mutant.old) == 1, f"{mutant.file}.lua no longer has {mutant.old!r} exactly once"

    def load(verb: str) -> Script:
        script = scripts.script(verb)
        if verb != mutant.file and text not in script.source:
            return script
        copies = max(1, script.source.count(text))  # a file may be included by two others
        assert script.source.count(mutant.old) == copies, f"{mutant.old!r} is ambiguous in {verb}.lua"
        source = script.source.replace(mutant.old, mutant.new)
        return Script(verb, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())

    return load
