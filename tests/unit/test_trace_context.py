"""The W3C trace context: which headers count, what is kept of them, and where a flush stands in its trace."""

from __future__ import annotations

import re

import pytest

from config.trace_context import (
    STATE_MAX,
    TraceContext,
    new_span_id,
    read_context,
    read_stored,
    trace_id_of,
    trace_of,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
LONG = ",".join(f"k{number}={'v' * 60}" for number in range(20))


def kept(**headers: str) -> str | None:
    """What is stored of a request with these headers."""
    return trace_of(headers)


@pytest.mark.parametrize(
    ("parent", "stored"),
    [
        (PARENT, PARENT),
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        (f" \t{PARENT} ", PARENT),
        (f"00-{TRACE}-{SPAN}-ff", PARENT),
        (f"00-{TRACE}-{SPAN}-fe", f"00-{TRACE}-{SPAN}-00"),
        (f"cc-{TRACE}-{SPAN}-01", PARENT),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", PARENT),
    ],
    ids=["sampled", "not sampled", "white space", "unknown flags", "only unknown flags", "later version", "longer"],
)
def test_what_is_kept(parent: str, stored: str):
    """The ids and the flag, in version 00: nothing that this version does not know is passed on."""
    assert kept(traceparent=parent) == stored


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "00",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0A",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN[1:]}g-01",
        f"{PARENT}, {PARENT}",
        f"{PARENT}\n",
        f"cc-{TRACE}-{SPAN}-01-{'x' * 500}",
        "00-" + "\u0660" * 32 + f"-{SPAN}-01",
    ],
)
def test_what_is_no_trace_context(parent: str):
    """A header that breaks a rule is as if it were not there, and so is `tracestate` beside it."""
    assert kept(traceparent=parent, tracestate="a=1") is None


def test_a_state_without_a_parent():
    """`tracestate` alone is nothing."""
    assert kept(tracestate="a=1") is None


@pytest.mark.parametrize(
    ("state", "stored"),
    [
        ("congo=t61rcWkgMzE", "congo=t61rcWkgMzE"),
        ("a=1,b=2", "a=1,b=2"),
        (" a=1 ,\t, b=two words", "a=1,b=two words"),
        ("0tenant@vendor=x", "0tenant@vendor=x"),
        ("a=" + "v" * 256, "a=" + "v" * 256),
    ],
)
def test_a_state_is_kept(state: str, stored: str):
    """Its members are kept in order, without white space between and without empty ones."""
    assert kept(traceparent=PARENT, tracestate=state) == f"{PARENT} {stored}"
    assert read_stored(f"{PARENT} {stored}") == TraceContext(TRACE, SPAN, True, stored)


@pytest.mark.parametrize(
    "state",
    [
        "a",
        "=1",
        "a=",
        "A=1",
        "0a=1",
        "a=1=2",
        "a=1,a=2",
        "a=ação",
        "a=\x00",
        "a=1\r\nx: y",
        "a=" + "v" * 257,
        "k" * 257 + "=1",
        ",".join(f"k{number}=v" for number in range(33)),
        "x" * 60_000,
    ],
)
def test_a_bad_state_is_left_out(state: str):
    """One bad member spoils the list, and the rest of the trace context stays."""
    assert kept(traceparent=PARENT, tracestate=state) == PARENT


@pytest.mark.parametrize("state", [LONG, LONG[: STATE_MAX + 1], LONG * 100])
def test_a_long_state_is_cut_between_members(state: str):
    """At most 512 characters are kept, in whole members from the left."""
    context = read_context(PARENT, state)
    assert context is not None
    assert STATE_MAX - 70 < len(context.state) <= STATE_MAX
    assert LONG.startswith(context.state + ",")


def test_the_longest_state():
    """512 characters are kept as they are."""
    state = f"a={'v' * 254},b={'v' * 252}"
    assert len(state) == STATE_MAX - 1
    assert kept(traceparent=PARENT, tracestate=state + "v") == f"{PARENT} {state}v"


@pytest.mark.parametrize("text", [None, 7, "", "x", f"{PARENT[:-2]}zz", {"a": 1}])
def test_a_stored_text_that_cannot_be_read(text: object):
    """Whatever the buffer holds, a flush goes on without it."""
    assert read_stored(text) is None


def test_the_ids_of_a_flush():
    """The trace follows from the flush_id, and a span id is random. Both have the form that W3C asks for."""
    assert trace_id_of("flush-1") == trace_id_of("flush-1") != trace_id_of("flush-2")
    assert re.fullmatch("[0-9a-f]{32}", trace_id_of("flush-1"))
    assert new_span_id() != new_span_id()
    assert re.fullmatch("[0-9a-f]{16}", new_span_id())


def test_the_trace_id_never_changes():
    """A release that computed another id would tear the attempts of a flush apart."""
    assert trace_id_of("3-Zm9vYmFyYmF6MTIz-1700000009000-0123456789ab") == "fcd08085699d87aa049a41de18d084db"
