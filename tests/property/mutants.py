"""The seeded bugs: the random walks must fail with each. tests/property/reply_mutants.py has those of replies, and
counter_mutants.py those of counters, typing_mutants.py those of typing events.
"""

from __future__ import annotations

from tests.property.seeded_bug import Mutant

MUTANTS = [
    Mutant("dedupe removed", "include/append_one", "elseif not known then\n", "elseif true then\n"),
    Mutant("lost reply is a duplicate", "append", "known == nonce and 'new' or 'duplicate'", "'duplicate'"),
    Mutant("ids never forgotten", "include/seen", " and seconds_at(seen, at) * 1000 + ttl_ms >= now_ms then", " then"),
    Mutant(
        "seen set with a TTL",
        "include/seen",
        "    call('APPEND', key('seen', name), records)\n",
        "    call('APPEND', key('seen', name), records)\n    call('EXPIRE', key('seen', name), 999)\n",
    ),
    Mutant("slab not split", "include/slabs", "lists[slabs] or {}", "{}"),
    Mutant("id looked up in another slab", "include/slabs", "at < slabs and at or", "slabs > 2 and at or"),
    Mutant("joined slab lost", "include/slabs", "young(read_slab(name, last), ttl_ms)))", "''))"),
    Mutant("slabs without their mark", "include/slabs", "  return slabs + 1\n", "  return slabs\n"),
    Mutant(
        "append without a wake entry", "include/burst", "    wakes[at + 1], wakes[at + 2] = deadline_ms, name\n", ""
    ),
    Mutant(
        "longest wait ignored",
        "include/burst",
        "    deadline_ms = longest_ms\n",
        "",
    ),
    Mutant("window of the message ignored", "include/burst", "local quiet_ms = window_ms", "local quiet_ms = 8000"),
    Mutant("window of a cut burst lost", "include/seal", "receipt_of(last) + conv.window_ms", "receipt_of(last)"),
    Mutant("first window ignored", "include/burst", "if first_ms and", "if false and"),
    Mutant(
        "first window behind a batch", "include/burst", "not (conv.opened_ms or conv.is_busy)", "not conv.opened_ms"
    ),
    Mutant(
        "duplicate waits longer",
        "include/append_one",
        "  repair_wake(conv)\n  status, deadline_ms, depth = known",
        "  if conv.opened_ms then\n    conv.deadline_ms = now_ms + window_ms\n    write_window(name, conv)\n  end\n"
        "  status, deadline_ms, depth = known",
    ),
    Mutant(
        "duplicate repairs nothing",
        "include/append_one",
        "  repair_wake(conv)\n  status, deadline_ms, depth = known",
        "  status, deadline_ms, depth = known",
    ),
    Mutant("fired deadline moves", "include/burst", "  local fired = conv.fired\n", "  local fired = nil\n"),
    Mutant("message cap one late", "include/burst", "depth >= max_messages", "depth > max_messages"),
    Mutant("byte cap ignored", "include/burst", "bytes >= max_bytes", "false"),
    Mutant(
        "takeover ignored",
        "append",
        "if conv.paused_until_ms and paused(conv) and call('HGET', CONV .. name, 'pause_mode') == 'takeover' then",
        "if false then",
    ),
    Mutant("damaged window ends the script", "append", " or flat[1] and #flat[1] < WINDOW_SIZE then", " then"),
    Mutant(
        "half an id ignored", "append", " or #seen % SEEN_RECORD > 0 and not slabs_steps().count(name, seen)\n", "\n"
    ),
    Mutant("missing list ignored", "append", "conv.depth == depth and conv or BROKEN", "conv"),
    Mutant("awake conversation stays idle", "include/write", "    try('ZREM', key('idle'), name)\n", ""),
    Mutant(
        "dispatch removes",
        "dispatch",
        "  call('ZADD', key('wake'), unpack(later))\n",
        "  call('ZREM', key('wake'), unpack(due))\n",
    ),
    Mutant("early flush", "claim", "elseif number(conv, 'deadline_ms') > now_ms then", "elseif false then"),
    Mutant("two live leases", "claim", "  if leased(conv) then\n", "  if false then\n"),
    Mutant(
        "no wait between attempts",
        "claim",
        "elseif is_ahead(number(conv, 'retry_at_ms')) and not conv",
        "elseif false and not conv",
    ),
    Mutant("repeated claim is busy", "claim", "if conv.token == conv.fence .. ':' .. caller then", "if false then"),
    Mutant(
        "first of the remainder lost",
        "include/seal",
        "'LTRIM', key('buffer', name), size, -1",
        "'LTRIM', key('buffer', name), size + 1, -1",
    ),
    Mutant(
        "remainder lost",
        "include/seal",
        "    reopen(max(0, conv.bytes - bytes_of(batch)))\n",
        "    forget_window(name)\n",
    ),
    Mutant(
        "remainder opened by its last message",
        "include/seal",
        "receipt_of(head[1])",
        "receipt_of(last)",
    ),
    Mutant("order of arrival only", "include/seal", "first < second or (first == second and a < b)", "a < b"),
    Mutant(
        "new messages join a sealed batch",
        "claim",
        "  if conv.flush_id then\n    return number(conv",
        "  if conv.flush_id and not conv.opened_ms then\n    return number(conv",
    ),
    Mutant(
        "lease without a wake entry",
        "claim",
        "  wake_set(name, now_ms + lease_ms)\n",
        "  call('ZREM', key('wake'), name)\n",
    ),
    Mutant("crashes not counted", "claim", "number(conv, 'crashes') + 1", "number(conv, 'crashes')"),
    Mutant(
        "dead letter after new messages",
        "claim",
        "if conv.redrive and rare('load_redriven') then",
        "if conv.redrive and not conv.opened_ms and rare('load_redriven') then",
    ),
    Mutant("name of the claim", "claim", "conv.sealed_name or '',", "conv.name or '',"),
    Mutant(
        "closed when sealed",
        "include/seal",
        "closed_ms = closed_ms, separator = separator",
        "closed_ms = now_ms, separator = separator",
    ),
    Mutant(
        "lock left behind",
        "include/batch",
        "call('DEL', key('lock', name), key('batch', name))",
        "call('DEL', key('batch', name))",
    ),
    Mutant(
        "dead letter without its messages",
        "include/batch",
        "call('RENAME', key('batch', name), key('remains', conv.flush_id))",
        "call('DEL', key('batch', name))",
    ),
    Mutant("answer survives the flush", "include/batch", "'cancelled', 'answer', ", "'cancelled', "),
    Mutant("ack and fail not fenced", "include/fence", "  if conv.token == token then\n", "  if true then\n"),
    Mutant("lost ack forgotten", "include/fence", "if conv.done_token == token then", "if false then"),
    Mutant("pauses ignored", "include/prelude", "is_ahead(number(conv, 'paused_until_ms'))\n", "false\n"),
    Mutant("renew not fenced", "renew", "if conv.token ~= token then", "if false then"),
    Mutant(
        "renew of a cancelled batch", "renew", "elseif conv.cancelled or conv", "elseif not conv.cancelled and conv"
    ),
    Mutant("answer not fenced", "answered", "if conv.token ~= ARGV[at + 1] then", "if false then"),
    Mutant("ack strands the next burst", "ack", "rearm(name, conv)\n  if", "call('ZREM', key('wake'), name)\n  if"),
    Mutant(
        "memory without the answer's lease",
        "answered",
        "if conv.token ~= ARGV[at + 1] then\n",
        "if conv.token ~= ARGV[at + 1] then\n    call('SET', key('memory', name), ARGV[at + 6])\n",
    ),
    Mutant("memory not given", "claim", "(conv.remembers or resolved ~= name) and", "false and"),
    Mutant("failures not counted", "fail", "(COUNTED[mode] or 0)", "0"),
    Mutant("release counts as a failure", "fail", "(COUNTED[mode] or 0)", "1"),
    Mutant("retry without a wake entry", "fail", "wake_set_and_announce(name, now_ms + delay_ms)\n", ""),
    Mutant("second click moves the deadline", "flush_now", "if not conv.fired then", "if true then"),
    Mutant("discard under a live lease", "include/stop", "  if leased(conv) then\n", "  if false then\n"),
    Mutant("redrive twice", "redrive", "elseif redriven then", "elseif false then"),
    Mutant("resume too late", "resume", "  rearm(name, conv)\n", ""),
    Mutant(
        "error in one ends the call for all",
        "claim",
        "guarded(claim_anew, name) or { 'broken', 0 }",
        "claim_anew()",
    ),
    Mutant(
        "malformed window loses its messages",
        "include/sick",
        "  rebuild_window(name)\n",
        "  call('HDEL', key('conv', name), 'window')\n",
    ),
    Mutant("takeover in a hold", "claim", "if held_until_ms and is_ahead(held_until_ms) then", "if false then"),
    Mutant("batch without messages is kept", "claim", "    drop_lost_batch()\n    take_back()\n", "    take_back()\n"),
    Mutant(
        "burst without messages has no record", "include/seal", "    return discard_lost_window()\n", "    return nil\n"
    ),
    Mutant("repair overlooks batches", "repair", "if flush_id or window or redrive", "if window"),
    Mutant("sweep forgets conversations too early", "sweep", "now_ms - tonumber(ARGV[2])", "now_ms"),
    Mutant("erase leaves a lease", "erase", "'conv', 'buffer', 'batch', 'seen'", "'buffer', 'batch', 'seen'"),
    Mutant("erase leaves a wake entry", "erase", "{ 'wake', 'idle', 'suspects' }", "{ 'idle', 'suspects' }"),
    Mutant("erase leaves a dead letter", "erase", "call('UNLINK', key('remains', id)), ", ""),
    Mutant("erase without a record", "erase", "record_erase(record_id, messages)\n  tally", "record_id\n  tally"),
]

PEOPLE_MUTANTS = [
    Mutant("alias unknown", "include/append_one", "alias ~= NO_ALIAS and alias, false", "false, false"),
    Mutant("second name not recognised", "include/append_one", "= not known and owners and", "= false and"),
    Mutant(
        "id that came under another name not recorded",
        "append",
        "new_ids[at + 1], new_ids[at + 2] = name, id, name",
        "at = name",
    ),
    Mutant("alias not set", "include/merge", "  call('HSET', key('alias'), name, target)\n", ""),
    Mutant("aliases not noted", "include/merge", "  call('HSET', key('conv', target), 'aliases', conv.aliases)\n", ""),
    Mutant(
        "aliases of an alias stay",
        "include/merge",
        "for i = 1, #(drop.conv.aliases or ''), 16 do",
        "for i = 1, 0, 16 do",
    ),
    Mutant("merge forgets the burst", "include/merge", "  move_window(keep, drop, limits)\n", ""),
    Mutant("merge forgets the seen set", "include/merge", "  move_seen(keep, drop)\n", ""),
    Mutant("merge forgets the pending changes", "include/merge", "  move_pending_changes(keep, drop)\n", ""),
    Mutant("merge forgets the redriven dead letters", "include/merge", "  move_redrive(keep, drop)\n", ""),
    Mutant("merge forgets the media", "include/merge", "  move_media(drop.name, keep.name, drop.entries)\n", ""),
    Mutant(
        "merge forgets the pause",
        "include/merge",
        "fields.paused_until_ms, fields.pause_mode = dropped.paused_until_ms, dropped.pause_mode",
        "fields.pause_mode = dropped.pause_mode",
    ),
    Mutant(
        "merged conversation not awake",
        "include/merge",
        "    rearm(keep.name, keep.conv)\n",
        "    call('ZREM', key('wake'), keep.name)\n",
    ),
    Mutant("merged conversation stays idle", "include/merge", "  call('ZREM', key('idle'), keep.name)\n", ""),
    Mutant("dropped conversation is awake", "include/merge", "    call('ZREM', key('wake'), drop.name)\n", ""),
    Mutant(
        "later messages overtake a batch of their person",
        "claim",
        "if conv.behind or resolved ~= name then",
        "if resolved ~= name then",
    ),
    Mutant(
        "two calls for one person", "include/person", "if leased(other_conv) or not conv.flush_id then", "if false then"
    ),
    Mutant(
        "merge forgets what stays behind", "include/merge", "behind = behind ~= '' and behind or nil", "behind = nil"
    ),
    Mutant("end of a batch wakes nobody", "include/batch", "    wake_person(name, conv)\n", ""),
    Mutant("alias is held by a pause", "claim", "(conv.flush_id or resolved == name)", "true"),
    Mutant(
        "batch of the dropped conversation lost", "include/merge", "  if drop.conv.flush_id then\n", "  if false then\n"
    ),
    Mutant(
        "merge moves a fired deadline",
        "include/merge",
        "fired, fired_ms = side.conv.fired, number(side.conv, 'deadline_ms')",
        "fired, fired_ms = side.conv.fired, now_ms",
    ),
    Mutant(
        "merged burst opened by the later one",
        "include/merge",
        "opened_ms = min(opened_ms, number(side.conv, 'opened_ms'))",
        "opened_ms = number(side.conv, 'opened_ms')",
    ),
    Mutant(
        "merged burst waits too long", "include/merge", "min(latest_ms, opened_ms + limits.max_wait_ms)", "latest_ms"
    ),
    Mutant(
        "merge forgets the order of arrival", "include/merge", "received_of(first[i]) <= received_of(second[j])", "true"
    ),
    Mutant(
        "copies delivered",
        "include/merge",
        "if copies > 0 then",
        "keep.entries = load_side(keep.name, keep.conv).entries\n  if copies > 0 then",
    ),
    Mutant("seen set out of order", "include/slabs", "seconds_at(first, i) <= seconds_at(second, j)", "true"),
    Mutant("id twice in the seen set", "include/slabs", "      parts[known[fingerprint]] = ''\n", ""),
    Mutant("merge forgets slabs", "include/slabs", "{ not slabs and seen or nil }", "{}"),
    Mutant("older edit wins", "edit", "tonumber(string.sub(kept, 1, 13)) > edited_ms", "false"),
    Mutant(
        "edit of a sealed message",
        "edit",
        "local place, entry = find_entry(name, fingerprint)\n",
        "for at, sealed in ipairs(call('LRANGE', key('batch', name), 0, -1)) do\n"
        "  if fingerprint_of(sealed) == fingerprint then\n"
        "    call('LSET', key('batch', name), at - 1, sealed .. '\\n' .. edit)\n"
        "  end\n"
        "end\n"
        "local place, entry = find_entry(name, fingerprint)\n",
    ),
    Mutant(
        "edit has no size",
        "edit",
        "  conv.bytes = conv.bytes + #changed - #entry\n",
        "",
    ),
    Mutant("early edit lost", "include/burst", "  if edit then\n    body =", "  if false then\n    body ="),
    Mutant("early revoke ignored", "append", "if pending_change == 'r' then", "if false then"),
    Mutant(
        "pending change never used up",
        "include/write",
        "    call('HDEL', key('mark', name), unpack(conv.used_changes))\n",
        "",
    ),
    Mutant("emptied burst flushed", "revoke", "if call('EXISTS', key('buffer', name)) == 0 then", "if false then"),
    Mutant("media of a revoked message stays", "revoke", "  drop_media(name, { entry })\n", ""),
    Mutant("media of a delivered message stays", "include/batch", "  if conv.has_media then\n", "  if false then\n"),
    Mutant(
        "media of a dead letter lost",
        "include/batch",
        "  call('RENAME', key('batch', name), key('remains', conv.flush_id))\n",
        "  drop_media(name, call('LRANGE', key('batch', name), 0, -1))\n"
        "  call('RENAME', key('batch', name), key('remains', conv.flush_id))\n",
    ),
    Mutant(
        "media of a redriven dead letter lost",
        "include/batch",
        "'separator', 'has_media', 'claims'",
        "'separator', 'claims'",
    ),
    Mutant(
        "media left at the alias", "include/redeliver", "if conv.has_media and died_under ~= name then", "if false then"
    ),
    Mutant("album cut", "include/seal", "if album == NO_ALBUM or (behind", "if true or (behind"),
    Mutant("peer of the claim", "claim", "conv.sealed_peer or conv.peer,", "conv.peer,"),
    Mutant("phone given up", "include/burst", "(is_phone(peer) or not is_phone(conv.peer))", "true"),
    Mutant("phone given up by a pause", "pause", "if not conv.ref then", "if true then"),
    Mutant("stale message accepted", "append", "struct.unpack('>I6', order) < now_ms - max_age_ms then", "false then"),
    Mutant("typing by alias", "presence", "resolve(ARGV[2])", "ARGV[2]"),
    Mutant("flush_now by alias", "flush_now", "resolve(ARGV[2])", "ARGV[2]"),
    Mutant("discard by alias", "discard", "resolve(ARGV[2])", "ARGV[2]"),
    Mutant("pause by alias", "pause", "resolve(ARGV[2])", "ARGV[2]"),
    Mutant("resume by alias", "resume", "resolve(ARGV[2])", "ARGV[2]"),
    Mutant("edit by alias", "edit", "resolve(ARGV[2])", "ARGV[2]"),
    Mutant("revoke by alias", "revoke", "resolve(ARGV[2])", "ARGV[2]"),
    Mutant("redrive by alias", "redrive", "resolve(died_under)", "died_under"),
    Mutant("sweep leaves aliases", "sweep", "    call('HDEL', key('alias'), string.sub(aliases, i, i + 15))\n", ""),
    Mutant("sweep leaves pending changes", "sweep", ", key('mark', name),", ","),
]
"""Bugs in aliases, edits, revokes, media and albums."""
