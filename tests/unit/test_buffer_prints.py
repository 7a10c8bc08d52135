"""The print of a text: the same for what was sent and for its echo."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buffer.prints import NO_PRINT, PRINT_SIZE, print_of


@given(st.text().filter(str.strip), st.sampled_from(["", " ", "\n", "\r\n"]))
def test_an_echo_has_the_same_print(text: str, around: str):
    """White space around a text and the form of its line ends do not matter."""
    echo = around + text.replace("\r\n", "\n") + around
    assert print_of(echo) == print_of(text)
    assert len(print_of(text)) == PRINT_SIZE
    assert print_of(text) != NO_PRINT


def test_other_texts_have_other_prints():
    """What stands inside a text matters."""
    assert len({print_of(text) for text in ("oi", "Oi", "oi oi", "oi  oi", "oi\noi")}) == 5


@pytest.mark.parametrize("text", [None, "", " \r\n"])
def test_no_text_has_no_print(text: str | None):
    """A file without a caption matches nothing."""
    assert print_of(text) == NO_PRINT
