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
    Mutant("dedupe removed", "append", "  if not known then\n", "  if true then\n"),
    Mutant("lost reply is a duplicate", "append", "known == nonce and 'new' or 'duplicate'", "'duplicate'"),
    Mutant("ids never forgotten", "include/seen", " and seconds_at(seen, at) * 1000 + ttl_ms >= now_ms then", " then"),
    Mutant(
        "dedupe memory with a TTL",
        "include/seen",
        "    call('APPEND', key('seen', name), records)\n",
        "    call('APPEND', key('seen', name), records)\n    call('EXPIRE', key('seen', name), 999)\n",
    ),
    Mutant("append without a wake entry", "append", "    add(wakes, deadline_ms, name)\n", ""),
    Mutant(
        "longest wait ignored",
        "append",
        "min(now_ms + window_ms, (conv.opened_ms or now_ms) + max_wait_ms)",
        "now_ms + window_ms",
    ),
    Mutant(
        "duplicate waits longer",
        "append",
        "  heal(conv)\n  return known",
        "  if conv.opened_ms then\n    conv.deadline_ms = now_ms + window_ms\n    write_window(name, conv)\n  end\n"
        "  return known",
    ),
    Mutant("duplicate repairs nothing", "append", "  heal(conv)\n  return known", "  return known"),
    Mutant("fired deadline moves", "append", "  local fired = conv.fired\n", "  local fired = nil\n"),
    Mutant("message cap one late", "append", "depth >= max_messages", "depth > max_messages"),
    Mutant("byte cap ignored", "append", "bytes >= max_bytes", "false"),
    Mutant("takeover ignored", "append", "if is_taken_over(conv) then", "if false then"),
    Mutant("awake conversation stays idle", "append", "    call('ZREM', key('idle'), name)\n", ""),
    Mutant(
        "typing beyond the longest wait",
        "extend",
        "math.min(now_ms + typing_ms, conv.opened_ms + max_wait_ms)",
        "now_ms + typing_ms",
    ),
    Mutant("typing shortens", "extend", "if deadline_ms <= conv.deadline_ms then", "if false then"),
    Mutant(
        "dispatch removes",
        "dispatch",
        "  call('ZADD', key('wake'), unpack(later))\n",
        "  call('ZREM', key('wake'), unpack(due))\n",
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
        "if conv.flush_id then\n    return lease()",
        "if conv.flush_id and not conv.opened_ms then\n    return lease()",
    ),
    Mutant(
        "lease without a wake entry",
        "claim",
        "  wake(name, now_ms + lease_ms)\n",
        "  redis.call('ZREM', key('wake'), name)\n",
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
    Mutant("pauses ignored", "include/prelude", "number(conv, 'paused_until_ms') > now_ms\n", "false\n"),
    Mutant("renew not fenced", "renew", "if conv.token ~= token then", "if false then"),
    Mutant("renew of a cancelled batch", "renew", "elseif conv.cancelled then", "elseif false then"),
    Mutant("answer not fenced", "answered", "if conv.token ~= token then", "if false then"),
    Mutant(
        "ack strands the next burst", "ack", "rearm(name, conv)\n  if", "redis.call('ZREM', key('wake'), name)\n  if"
    ),
    Mutant("failures not counted", "fail", "(mode == 'release' and 0 or 1)", "0"),
    Mutant("hand-back counts", "fail", "(mode == 'release' and 0 or 1)", "1"),
    Mutant("retry without a wake entry", "fail", "wake_sooner(name, now_ms + delay_ms)\n", ""),
    Mutant("second click moves the deadline", "flush_now", "if not conv.fired then", "if true then"),
    Mutant("discard under a live lease", "include/batch", "  elseif leased(conv) then\n", "  elseif false then\n"),
    Mutant("redrive twice", "redrive", "elseif letter[2] then", "elseif false then"),
    Mutant("resume too late", "resume", "  rearm(name, conv)\n", ""),
    Mutant("repair overlooks batches", "repair", "if flush_id or window or redrive", "if window"),
    Mutant("sweep takes the living", "sweep", "now_ms - tonumber(ARGV[2])", "now_ms"),
]

PEOPLE_MUTANTS = [
    Mutant("other name unknown", "append", "  if twin ~= NO_TWIN then\n", "  if false then\n"),
    Mutant("name leads nowhere", "include/unite", "  redis.call('HSET', key('alias'), name, to)\n", ""),
    Mutant("names not noted", "include/unite", "  redis.call('HSET', key('conv', to), 'aliases', conv.aliases)\n", ""),
    Mutant(
        "names of names stay", "include/unite", "for i = 1, #(drop.conv.aliases or ''), 16 do", "for i = 1, 0, 16 do"
    ),
    Mutant("union forgets the burst", "include/unite", "  move_window(keep, drop, limits)\n", ""),
    Mutant("union forgets the memory", "include/unite", "  move_memory(keep, drop)\n", ""),
    Mutant("union forgets the marks", "include/unite", "  move_marks(keep, drop)\n", ""),
    Mutant("union forgets the letters", "include/unite", "  move_redrive(keep, drop)\n", ""),
    Mutant("union forgets the media", "include/unite", "  move_media(drop.name, keep.name, drop.entries)\n", ""),
    Mutant(
        "union forgets the pause",
        "include/unite",
        "fields.paused_until_ms, fields.pause_mode = theirs.paused_until_ms, theirs.pause_mode",
        "fields.pause_mode = theirs.pause_mode",
    ),
    Mutant(
        "union is not awake",
        "include/unite",
        "    rearm(keep.name, keep.conv)\n",
        "    redis.call('ZREM', key('wake'), keep.name)\n",
    ),
    Mutant("union stays idle", "include/unite", "  redis.call('ZREM', key('idle'), keep.name)\n", ""),
    Mutant("who is gone is awake", "include/unite", "    redis.call('ZREM', key('wake'), drop.name)\n", ""),
    Mutant("name that is gone is held", "claim", "(conv.flush_id or leader == name)", "true"),
    Mutant("batch in hand lost", "include/unite", "  if drop.conv.flush_id then\n", "  if false then\n"),
    Mutant(
        "union moves a fired deadline",
        "include/unite",
        "fired, fired_ms = side.conv.fired, number(side.conv, 'deadline_ms')",
        "fired, fired_ms = side.conv.fired, now_ms",
    ),
    Mutant(
        "union opened by the other",
        "include/unite",
        "opened_ms = math.min(opened_ms, number(side.conv, 'opened_ms'))",
        "opened_ms = number(side.conv, 'opened_ms')",
    ),
    Mutant("union waits too long", "include/unite", "math.min(latest_ms, opened_ms + limits.max_wait_ms)", "latest_ms"),
    Mutant("union cuts in line", "include/unite", "received_of(first[i]) <= received_of(second[j])", "true"),
    Mutant(
        "copies delivered",
        "include/unite",
        "if copies > 0 then",
        "keep.entries = side_of(keep.name, keep.conv).entries\n  if copies > 0 then",
    ),
    Mutant("memory out of order", "include/seen", "seconds_at(first, i) <= seconds_at(second, j)", "true"),
    Mutant("id remembered twice", "include/seen", "      parts[known[fingerprint]] = ''\n", ""),
    Mutant("older edit wins", "edit", "tonumber(string.sub(text, 1, 13)) > edited_ms", "false"),
    Mutant(
        "edit of a sealed message",
        "edit",
        "local place, entry = find_entry(name, fingerprint)\n",
        "for at, sealed in ipairs(redis.call('LRANGE', key('batch', name), 0, -1)) do\n"
        "  if fingerprint_of(sealed) == fingerprint then\n"
        "    redis.call('LSET', key('batch', name), at - 1, sealed .. '\\n' .. edit)\n"
        "  end\n"
        "end\n"
        "local place, entry = find_entry(name, fingerprint)\n",
    ),
    Mutant(
        "edit weighs nothing",
        "edit",
        "  conv.bytes = conv.bytes + #changed - #entry\n",
        "",
    ),
    Mutant("early edit lost", "append", "  if mark then\n    payload =", "  if false then\n    payload ="),
    Mutant("early revoke ignored", "append", "if mark == 'r' then", "if false then"),
    Mutant("mark used for ever", "append", "    call('HDEL', key('mark', name), unpack(conv.used))\n", ""),
    Mutant("emptied burst flushed", "revoke", "if conv.depth == 0 then", "if false then"),
    Mutant("media of the deleted", "revoke", "  drop_media(name, { entry })\n", ""),
    Mutant("media of the delivered", "include/batch", "  if conv.has_media then\n", "  if false then\n"),
    Mutant(
        "media of the dead lost",
        "include/batch",
        "  redis.call('RENAME', key('batch', name), key('remains', conv.flush_id))\n",
        "  drop_media(name, redis.call('LRANGE', key('batch', name), 0, -1))\n"
        "  redis.call('RENAME', key('batch', name), key('remains', conv.flush_id))\n",
    ),
    Mutant("media of the redriven", "include/batch", "'separator', 'has_media', 'claims'", "'separator', 'claims'"),
    Mutant("media left at the old name", "claim", "if conv.has_media and letter[8] ~= name then", "if false then"),
    Mutant("album cut", "claim", "if album == NO_ALBUM or (behind", "if true or (behind"),
    Mutant("address of the moment", "claim", "conv.sealed_peer, conv.sealed_name }", "conv.peer, conv.sealed_name }"),
    Mutant("phone given up", "append", "(is_phone(peer) or not is_phone(conv.peer))", "true"),
    Mutant("phone given up by a pause", "pause", "if not conv.ref then", "if true then"),
    Mutant("old news is news", "append", "struct.unpack('>I6', order) < now_ms - max_age_ms then", "false then"),
    Mutant("typing under another name", "extend", "resolve(ARGV[2])", "ARGV[2]"),
    Mutant("flush_now by another name", "flush_now", "resolve(ARGV[2])", "ARGV[2]"),
    Mutant("discard by another name", "discard", "resolve(ARGV[2])", "ARGV[2]"),
    Mutant("pause by another name", "pause", "resolve(ARGV[2])", "ARGV[2]"),
    Mutant("resume by another name", "resume", "resolve(ARGV[2])", "ARGV[2]"),
    Mutant("edit by another name", "edit", "resolve(ARGV[2])", "ARGV[2]"),
    Mutant("revoke by another name", "revoke", "resolve(ARGV[2])", "ARGV[2]"),
    Mutant("letter of another name", "redrive", "resolve(letter[1])", "letter[1]"),
    Mutant("sweep leaves names", "sweep", "    redis.call('HDEL', key('alias'), string.sub(aliases, i, i + 15))\n", ""),
    Mutant("sweep leaves marks", "sweep", ", key('mark', name))", ")"),
]
"""Bugs about names, edits, revokes, media and albums."""


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
