"""scripts: the Lua scripts, loaded with their includes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from buffer import scripts

LUA = Path(scripts.__file__).parent / "lua"


@pytest.mark.parametrize("verb", scripts.VERBS)
def test_source_is_complete(verb: str):
    """A loaded script has the prelude in front, every include in place, and the SHA of its source."""
    script = scripts.script(verb)
    assert script.source.startswith((LUA / "include" / "prelude.lua").read_text())
    assert "-- include:" not in script.source
    assert script.sha == hashlib.sha1(script.source.encode(), usedforsecurity=False).hexdigest()


def test_unknown_script():
    """A verb without a Lua file cannot be loaded."""
    with pytest.raises(FileNotFoundError):
        scripts.script("nonsense")
