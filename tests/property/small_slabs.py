"""Scripts whose seen sets go into slabs after a few ids, and whose counts are added up soon: walks come that far."""

from __future__ import annotations

from collections.abc import Callable

from buffer import scripts
from buffer.scripts import Script, sha_of

SIZES = {
    "SEEN_MAX = 4096": "SEEN_MAX = 32",
    "SLAB_MAX = 1024": "SLAB_MAX = 48",
    "SLAB_MIN = 128": "SLAB_MIN = 33",
    "FOLD_BYTES = 32768": "FOLD_BYTES = 90",
}


def small_slabs(load: Callable[[str], Script] = scripts.script) -> Callable[[str], Script]:
    """Return a loader of the same scripts with small slabs. Raises AssertionError where a size is not in the text."""
    for size in SIZES:
        assert size in scripts.script("append").source, f"small_slabs.py: no script has {size!r}"

    def load_small(verb: str) -> Script:
        source = load(verb).source
        for size, smaller in SIZES.items():
            source = source.replace(size, smaller)
        return Script(verb, source, sha_of(source))

    return load_small
