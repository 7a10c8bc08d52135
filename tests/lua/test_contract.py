"""The header of each Lua file is its contract: the arguments that Python sends, the reply, the keys."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from buffer import scripts, stored_message
from buffer.held_agent_calls import AgentStatus, Strike
from buffer.held_agents import HeldAgents
from buffer.keys import KINDS
from buffer.late_answer_calls import AwaitOutcome, PostResult
from buffer.late_answers import LateAnswers
from buffer.models import (
    AppendStatus,
    Change,
    ClaimStatus,
    EditResult,
    FailureMode,
    Outcome,
    PauseMode,
    PostedAnswer,
    RevokeResult,
)
from buffer.operator_models import DiscardLetterResult, PendingState, RedriveResult
from buffer.owner_store import Owners
from buffer.person_store import People
from buffer.reply_models import (
    DoubtResult,
    Ending,
    OwnAction,
    OwnMessage,
    OwnMessageResult,
    PartEnd,
    PartMark,
    PartOutcome,
    SendLimits,
    Status,
)
from buffer.reply_store import Replies
from buffer.scripts import Script
from buffer.store import Store
from buffer.tallies import add_counts, fold
from buffer.transport.factory import Transport
from buffer.upcoming import UpcomingState, page_of
from tests.lua.driver import ANA, BIA
from tests.messages import message
from tests.servers import Server

LUA = Path(scripts.__file__).parent / "lua"
FILES = sorted(LUA.rglob("*.lua"))

CALLS: dict[str, Callable[[Store], Awaitable[Any]]] = {
    "append": lambda store: store.append([message("m1", ANA), message("m2", BIA)]),
    "extend": lambda store: store.extend(ANA),
    "edit": lambda store: store.edit(ANA, Change(b"f" * 8, 1, b"{}")),
    "revoke": lambda store: store.revoke(ANA, b"f" * 8),
    "dispatch": lambda store: store.dispatch(0, 10),
    "hold_takeovers": lambda store: store.hold_takeovers(0),
    "claim": lambda store: store.claim(store.ref(ANA), "w1"),
    "renew": lambda store: store.renew(store.ref(ANA), "1:w1"),
    "answered": lambda store: store.answered(store.ref(ANA), "1:w1", b"{}"),
    "await_answer": lambda store: LateAnswers(store).wait(store.ref(ANA), "1:w1", 1),
    "post_answer": lambda store: LateAnswers(store).post("0-abc-1-def", PostedAnswer("text/plain", b"oi")),
    "begin_part": lambda store: Replies(store).begin_part(store.ref(ANA), "1:w1", 1, ANA, "id", SendLimits()),
    "end_part": lambda store: Replies(store).end_part(store.ref(ANA), "1:w1", 1, ANA, Ending("sent", "0-abc-1-def")),
    "ack": lambda store: store.ack(store.ref(ANA), "1:w1"),
    "fail": lambda store: store.fail(store.ref(ANA), "1:w1", "refused", delay_ms=1),
    "strike": lambda store: HeldAgents(store).strike(Strike("tag", "ana", 5, 1, 1, "http://agent", "refused")),
    "probe": lambda store: HeldAgents(store).probe("tag", 1, 1),
    "works": lambda store: HeldAgents(store).works("tag"),
    "unpark": lambda store: HeldAgents(store).wake_all("tag"),
    "flush_now": lambda store: store.flush_now(ANA),
    "discard": lambda store: store.discard(ANA),
    "redrive": lambda store: store.redrive("0-abc-1-def"),
    "dead_letters": lambda store: store.dead_letters(0),
    "discard_letter": lambda store: store.discard_letter("0-abc-1-def"),
    "pause": lambda store: store.pause(ANA, 1_000, PauseMode.HOLD),
    "resume": lambda store: store.resume(ANA),
    "sweep": lambda store: store.sweep(0),
    "repair": lambda store: store.repair(0),
    "snapshot": lambda store: store.snapshot(0),
    "look": lambda store: People(store).look(store.ref(ANA)),
    "erase": lambda store: People(store).erase(ANA),
    "forget_records": lambda store: store.run("forget_records", 0, ["history", "1-0"]),
    "pending": lambda store: store.pending(0),
    "upcoming": lambda store: page_of(store, 0, 0),
    "own_message": lambda store: Replies(store).own_message(OwnMessage(ANA, "id", None, b"")),
    "part_status": lambda store: Replies(store).part_status("generic", "loja", Status("sent", "id")),
    "doubts": lambda store: Replies(store).doubts(0),
    "settle_doubt": lambda store: Replies(store).settle_doubt("0-abc-1-def.1", "drop"),
    "announce_owner": lambda store: Owners(store).announce("host"),
    "tally": lambda store: add_counts(store, {"requests_rejected:meta:unauthorized": 1}),
    "fold": lambda store: fold(store, 0),
}

STATUSES: dict[str, set[str]] = {
    "append": set(get_args(AppendStatus)),
    "edit": set(get_args(EditResult)),
    "revoke": set(get_args(RevokeResult)),
    "claim": set(get_args(ClaimStatus)),
    "renew": {*Outcome} - {"dead", "later"},
    "answered": {*Outcome} - {"dead"},
    "await_answer": set(get_args(AwaitOutcome)),
    "post_answer": set(get_args(PostResult)),
    "begin_part": set(get_args(PartMark)),
    "end_part": set(get_args(PartOutcome)),
    "ack": {*Outcome} - {"dead", "later"},
    "fail": {*Outcome} - {"later"},
    "strike": set(get_args(AgentStatus)) - {"probe"},
    "probe": set(get_args(AgentStatus)) - {"opened"},
    "redrive": set(get_args(RedriveResult)),
    "discard_letter": set(get_args(DiscardLetterResult)),
    "pending": set(get_args(PendingState)),
    "upcoming": set(get_args(UpcomingState)),
    "own_message": set(get_args(OwnMessageResult)),
    "settle_doubt": set(get_args(DoubtResult)),
}
MODES: dict[str, set[str]] = {
    "fail": set(get_args(FailureMode)),
    "pause": {*PauseMode},
    "end_part": set(get_args(PartEnd)),
    "own_message": set(get_args(OwnAction)) - {""},
    "part_status": {"sent", "failed"},
    "settle_doubt": {"send", "drop"},
}
EXTRA = {"append": 2, "repair": 2, "claim": 2, "renew": 2, "answered": 7, "begin_part": 10, "end_part": 10, "ack": 4}
"""Arguments of the messages or conversations of a call."""

EXTRA["tally"] = 2
EXTRA["erase"] = EXTRA["forget_records"] = 1


class Recorder:
    """Notes the arguments of each script on the way to a server."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.sent: dict[str, list[Any]] = {}

    async def call(self, script: Script, root: str, args: list[Any]) -> Any:
        self.sent[script.verb] = args
        return await self._transport.call(script, root, args)


def header(verb: str) -> dict[str, str]:
    """Return the parts of a script's header by their first word."""
    text = (LUA / f"{verb}.lua").read_text()
    block = re.match(r"(?:--.*\n)+", text)
    assert block is not None, f"{verb}.lua has no header"
    parts: dict[str, str] = {}
    name = "purpose"
    for line in block.group().splitlines():
        found = re.match(r"-- (KEYS\[1\]|ARGV|returns|touches) +(.*)", line)
        name, rest = (found[1], found[2]) if found else ("why" if line == "--" else name, line[2:].strip())
        parts[name] = f"{parts.get(name, '')}   {rest}"
    return parts


def numbered(argv: str) -> list[int]:
    """Return the numbers of the arguments that a header describes."""
    return [int(number) for number in re.findall(r"(?:^| {2,})(\d+) (?=\S)", argv)]


def quoted(text: str) -> set[str]:
    """Return the words in quotes."""
    return set(re.findall(r"'(\w+)'", text))


def layout(text: str) -> list[str]:
    """Return the lines of the byte layout at the head of a Lua file."""
    head = text.partition("\n\n")[0]
    return [line.removeprefix("-- ") for line in head.splitlines() if re.match(r"-- +(offset|\d+( \+ n)?) ", line)]


def touched(text: str) -> set[str]:
    """Return the kinds of keys that a Lua text names."""
    return set(re.findall(r"key\('(\w+)'", text))


def test_every_script_is_called_here():
    """Each verb has a Lua file and each Lua file a verb, and CALLS has a call of each."""
    assert {path.stem for path in LUA.glob("*.lua")} == set(scripts.VERBS) == set(CALLS)


@pytest.mark.parametrize("verb", scripts.VERBS)
async def test_arguments_are_those_of_the_header(
    verb: str, valkey: Server, open_store, monkeypatch: pytest.MonkeyPatch
):
    """Python sends the arguments that the header numbers, without gaps, then those of each conversation."""
    store = open_store(valkey)
    await store.append([message("m1", ANA)])
    recorder = Recorder(store._transport)
    monkeypatch.setattr(store, "_transport", recorder)
    await CALLS[verb](store)
    numbers = numbered(header(verb)["ARGV"])
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(recorder.sent[verb]) == len(numbers) + EXTRA.get(verb, 0)


@pytest.mark.parametrize("verb", scripts.VERBS)
def test_statuses_are_those_of_the_header(verb: str):
    """The words that a script returns are the values of its type in models.py."""
    assert quoted(header(verb)["returns"]) == STATUSES.get(verb, set())


@pytest.mark.parametrize("verb", MODES)
def test_modes_are_those_of_the_header(verb: str):
    """The words that a script takes are the values of their type in models.py."""
    assert quoted(header(verb)["ARGV"]) == MODES[verb]


@pytest.mark.parametrize("verb", scripts.VERBS)
def test_header_names_keys_that_exist(verb: str):
    """`touches` names kinds of keys.KINDS only, and every kind that the script itself names."""
    stated = set(re.sub(r"\(.*?\)|·", "", header(verb)["touches"]).split())
    assert stated <= set(KINDS), f"unknown: {stated - set(KINDS)}"
    own = touched((LUA / f"{verb}.lua").read_text())
    assert own <= stated, f"not in the header: {own - stated}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_keys_in_lua_are_kinds(path: Path):
    """Every key('x') in Lua is a kind that keys.py describes."""
    assert touched(path.read_text()) <= set(KINDS)


def test_every_kind_is_used():
    """keys.py describes no key that no script touches."""
    assert set().union(*(touched(path.read_text()) for path in FILES)) == set(KINDS) - {"duplicates"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_keys_come_from_the_partition(path: Path):
    """No script builds a key but from its partition's root, and none reads a clock but the prelude."""
    text = path.read_text()
    if path.stem != "prelude":
        assert "KEYS[" not in re.sub(r"--.*", "", text)
        assert "'TIME'" not in text


@pytest.mark.parametrize("include", ["entry", "record"])
def test_byte_layout_is_the_same_in_python(include: str):
    """Lua and Python describe the bytes of a stored message and of a record with the same lines."""
    lines = layout((LUA / "include" / f"{include}.lua").read_text())
    assert len(lines) > 5
    assert set(lines) <= set((stored_message.__doc__ or "").splitlines())


@pytest.mark.parametrize("verb", scripts.VERBS)
def test_header_is_complete(verb: str):
    """A header has a purpose, KEYS, ARGV, the returned values and the touched keys."""
    parts = header(verb)
    assert parts["purpose"].strip().startswith(f"{verb}: ")
    assert set(parts) == {"purpose", "KEYS[1]", "ARGV", "returns", "touches", "why"}
