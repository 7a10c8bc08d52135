"""config/spelling.py looks closely at few names, and overlooks none by that."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from config.spelling import _distance, _fewest_mistakes

LETTERS = st.text("ABCE", max_size=9)


@given(LETTERS, LETTERS)
def test_the_quick_look_never_counts_too_many(one: str, other: str) -> None:
    """A name is left out only if it has more mistakes."""
    assert _fewest_mistakes(one, other) <= _distance(one, other)
