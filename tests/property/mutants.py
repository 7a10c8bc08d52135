"""Bugs to seed: each changes one place in one Lua file, and random walks must notice every one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from buffer import scripts
from buffer.scripts import Script

LUA = Path(scripts.__file__).parent / "lua"


class Mutant(NamedTuple):
    """A bug: where it is, what stands there, and what it makes of it."""

    bug: str
    file: str
    old: str
    new: str


MUTANTS = [
    Mutant("dedupe removed", "append", "  if not nonce then\n", "  if true then\n"),
    Mutant("lost reply is a duplicate", "append", "nonce == message.nonce and 'new' or 'duplicate'", "'duplicate'"),
    Mutant("ids never forgotten", "include/seen", " and seconds_at(seen, at) * 1000 + ttl_ms >= now_ms then", " then"),
    Mutant(
        "dedupe memory with a TTL",
        "include/seen",
        "    redis.call('APPEND', key('seen', name), record)\n",
        "    redis.call('APPEND', key('seen', name), record)\n    redis.call('EXPIRE', key('seen', name), 999)\n",
    ),
    Mutant("append without a wake entry", "append", "    wake(name, deadline_ms)\n", ""),
    Mutant(
        "longest wait ignored", "append", "math.min(now_ms + window_ms, opened_ms + max_wait_ms)", "now_ms + window_ms"
    ),
    Mutant(
        "duplicate waits longer",
        "append",
        "  heal(message.name, conv)\n  local status",
        "  redis.call('HSET', key('conv', message.name), 'deadline_ms', now_ms + window_ms)\n  local status",
    ),
    Mutant("duplicate repairs nothing", "append", "  heal(message.name, conv)\n  local status", "  local status"),
    Mutant("fired deadline moves", "append", "  local fired = conv.fired\n", "  local fired = nil\n"),
    Mutant("message cap one late", "append", "depth >= max_messages", "depth > max_messages"),
    Mutant("byte cap ignored", "append", "bytes >= max_bytes", "false"),
    Mutant("takeover ignored", "append", "conv.pause_mode == 'takeover'", "false"),
    Mutant("awake conversation stays idle", "append", "  redis.call('ZREM', key('idle'), name)\n", ""),
    Mutant(
        "typing beyond the longest wait",
        "extend",
        "math.min(now_ms + typing_ms, number(conv, 'opened_ms') + max_wait_ms)",
        "now_ms + typing_ms",
    ),
    Mutant("typing shortens", "extend", "if deadline_ms <= number(conv, 'deadline_ms') then", "if false then"),
    Mutant(
        "dispatch removes",
        "dispatch",
        "    wake(name, now_ms + visibility_ms)\n",
        "    redis.call('ZREM', key('wake'), name)\n",
    ),
    Mutant("early flush", "claim", "elseif number(conv, 'deadline_ms') > now_ms then", "elseif false then"),
    Mutant("two live leases", "claim", "  if leased(conv) then\n", "  if false then\n"),
    Mutant(
        "no wait between attempts", "claim", "elseif number(conv, 'retry_at_ms') > now_ms then", "elseif false then"
    ),
    Mutant("repeated claim is busy", "claim", "if conv.token == conv.fence .. ':' .. caller then", "if false then"),
    Mutant(
        "first of the remainder lost",
        "claim",
        "'LTRIM', key('buffer', name), size, -1",
        "'LTRIM', key('buffer', name), size + 1, -1",
    ),
    Mutant("remainder lost", "claim", "    reopen(entries, size + 1)\n", "    forget_window(name)\n"),
    Mutant(
        "remainder opened by its last message", "claim", "received_of(entries[from])", "received_of(entries[#entries])"
    ),
    Mutant("order of arrival only", "claim", "first < second or (first == second and a < b)", "a < b"),
    Mutant(
        "new messages join a sealed batch",
        "claim",
        "if conv.flush_id then\n  return lease()",
        "if conv.flush_id and not conv.opened_ms then\n  return lease()",
    ),
    Mutant(
        "lease without a wake entry", "claim", "  wake(name, until_ms)\n", "  redis.call('ZREM', key('wake'), name)\n"
    ),
    Mutant("crashes not counted", "claim", "number(conv, 'crashes') + 1", "number(conv, 'crashes')"),
    Mutant(
        "letter after new messages",
        "claim",
        "if conv.redrive and revive() then",
        "if conv.redrive and not conv.opened_ms and revive() then",
    ),
    Mutant(
        "name of the moment", "claim", "conv.sealed_peer, conv.sealed_name }", "conv.sealed_peer, conv.name or '' }"
    ),
    Mutant("closed when sealed", "claim", "closed_ms = closed_ms", "closed_ms = now_ms"),
    Mutant(
        "lock left behind",
        "include/batch",
        "redis.call('DEL', key('lock', name), key('batch', name))",
        "redis.call('DEL', key('batch', name))",
    ),
    Mutant(
        "dead letter without its messages",
        "include/batch",
        "redis.call('RENAME', key('batch', name), key('remains', conv.flush_id))",
        "redis.call('DEL', key('batch', name))",
    ),
    Mutant("answer survives the flush", "include/batch", "'cancelled', 'answer' }", "'cancelled' }"),
    Mutant("ack and fail not fenced", "include/fence", "  if conv.token == token then\n", "  if true then\n"),
    Mutant("lost ack forgotten", "include/fence", "if conv.done_token == token then", "if false then"),
    Mutant("pauses ignored", "include/prelude", "return number(conv, 'paused_until_ms') > now_ms", "return false"),
    Mutant("renew not fenced", "renew", "if conv.token ~= token then", "if false then"),
    Mutant("renew of a cancelled batch", "renew", "elseif conv.cancelled then", "elseif false then"),
    Mutant("answer not fenced", "answered", "if conv.token ~= token then", "if false then"),
    Mutant("ack strands the next burst", "ack", "rearm(name, conv)\nif", "redis.call('ZREM', key('wake'), name)\nif"),
    Mutant("failures not counted", "fail", "(mode == 'release' and 0 or 1)", "0"),
    Mutant("hand-back counts", "fail", "(mode == 'release' and 0 or 1)", "1"),
    Mutant("retry without a wake entry", "fail", "wake_sooner(name, now_ms + delay_ms)\n", ""),
    Mutant("second click moves the deadline", "flush_now", "if not conv.fired then", "if true then"),
    Mutant("discard under a live lease", "discard", "if conv.flush_id and leased(conv) then", "if false then"),
    Mutant("redrive twice", "redrive", "elseif letter[2] then", "elseif false then"),
    Mutant("resume too late", "resume", "  rearm(name, conv)\n", ""),
    Mutant(
        "repair overlooks batches", "repair", "if holds or paused(conv) then", "if conv.opened_ms or paused(conv) then"
    ),
    Mutant("sweep takes the living", "sweep", "now_ms - tonumber(ARGV[2])", "now_ms"),
]


def loader(mutant: Mutant) -> Callable[[str], Script]:
    """Loads the scripts with the bug in place; fails when its text does not stand in its file exactly once."""
    text = (LUA / f"{mutant.file}.lua").read_text(encoding="utf-8")
    assert text.count(mutant.old) == 1, f"mutants.py: {mutant.file}.lua no longer has {mutant.old!r} exactly once"

    def load(verb: str) -> Script:
        script = scripts.script(verb)
        if verb != mutant.file and text not in script.source:
            return script
        assert script.source.count(mutant.old) == 1, f"mutants.py: {mutant.old!r} is ambiguous in {verb}.lua"
        source = script.source.replace(mutant.old, mutant.new)
        return Script(verb, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())

    return load
