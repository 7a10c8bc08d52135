"""The seeded bugs of MESSAGE_WHILE_ANSWERING=restart, by the walk that must fail with them (docs/restart.md)."""

from __future__ import annotations

from tests.property.seeded_bug import Mutant

WHETHER = [
    Mutant("RESTARTS_MAX ignored", "include/supersede", "< restarts_max and", "< 99 and"),
    Mutant(
        "taken back after the longest wait",
        "include/supersede",
        " and opened_ms + max_wait_ms > now_ms then",
        " then",
    ),
    Mutant("taken back above the cap of messages", "include/supersede", "#entries + conv.depth < max_messages", "true"),
    Mutant(
        "taken back above the cap of bytes",
        "include/supersede",
        "bytes + conv.bytes + payload_bytes <= max_bytes",
        "true",
    ),
    Mutant("answer without parts taken back", "include/supersede", " or answered and not next_part\n", "\n"),
    Mutant("dead letter taken back", "include/supersede", " or redriven or", " or"),
    Mutant(
        "cancelled batch taken back",
        "include/supersede",
        "(is_begun or single or cancelled or",
        "(is_begun or single or",
    ),
    Mutant(
        "batch that is stopped is taken back",
        "include/stop",
        "    return 0, false\n  end\n  if conv.superseded then\n",
        "    return 0, false\n  end\n  if false then\n",
    ),
    Mutant("killer taken back", "include/supersede", " and tonumber(crashes or 0) < 2\n", "\n"),
    Mutant(
        "message of another route counts with the batch",
        "include/burst",
        "if restarts_max > 0 and conv.is_busy and",
        "if conv.is_busy and",
    ),
]

HOW = [
    Mutant(
        "waiting batch is not woken",
        "include/supersede",
        "        add(wakes, now_ms, name)\n        nearest_ms = now_ms\n",
        "",
    ),
    Mutant(
        "longest wait counts anew",
        "include/supersede",
        "conv.sealed, conv.sealed_bytes, conv.opened_ms = #entries, bytes, opened_ms",
        "conv.sealed, conv.sealed_bytes = #entries, bytes",
    ),
    Mutant(
        "cap counts without the batch",
        "include/burst",
        "firing(depth + (conv.sealed or 0), bytes + (conv.sealed_bytes or 0))",
        "firing(depth, bytes)",
    ),
    Mutant(
        "renewal does not tell", "renew", "elseif conv.cancelled or conv.superseded then", "elseif conv.cancelled then"
    ),
    Mutant("answer kept", "answered", "  elseif conv.superseded then\n", "  elseif false then\n"),
    Mutant("ack counts", "ack", "if conv.superseded and not cancelled then", "if false then"),
    Mutant("failure is no end", "fail", "  elseif conv.superseded then\n", "  elseif false then\n"),
    Mutant(
        "retry is waited for",
        "claim",
        "elseif is_ahead(number(conv, 'retry_at_ms')) and not conv.superseded then",
        "elseif is_ahead(number(conv, 'retry_at_ms')) then",
    ),
    Mutant(
        "crash puts nothing back",
        "claim",
        "if conv.superseded and number(conv, 'crashes') < SUSPECT_CRASHES then",
        "if false then",
    ),
    Mutant("crashes forgotten", "include/seal", "crashes = taken[2],", "crashes = 0,"),
    Mutant(
        "worker's second question is lost",
        "include/take_back",
        "return keep_outcome(name, token, 'superseded')",
        "return 'superseded'",
    ),
    Mutant("back in reverse", "include/rejoin", "a[1] < b[1] or", "a[1] > b[1] or"),
    Mutant(
        "back by timestamp",
        "include/rejoin",
        "after_changes(name, conv, by_arrival(entries))",
        "after_changes(name, conv, entries)",
    ),
    Mutant(
        "back behind the new ones",
        "include/rejoin",
        "    if places[i] then\n",
        "    if false then\n",
    ),
    Mutant(
        "bytes of the batch forgotten",
        "include/rejoin",
        "conv.bytes = (conv.bytes or 0) + size_of(entry)",
        "conv.bytes = conv.bytes or 0",
    ),
    Mutant("burst without a wake entry", "include/rejoin", "  rearm(name, conv)\n  for i", "  for i"),
]

TOLD = [
    Mutant("not counted", "include/rejoin", "  tally(conv, 'flushes_superseded', 1)\n", ""),
    Mutant(
        "wait that was none",
        "include/rejoin",
        "  tally(conv, wait_bucket(waited_ms), -1, 'wait_ms:sum', -waited_ms)\n",
        "",
    ),
    Mutant("not recorded", "include/seal", "    record_superseded(taken, conv.flush_id)\n", ""),
    Mutant(
        "discard without the records",
        "include/window",
        "    drop_media(name, entries)\n  end\n  if conv.taken_back then\n",
        "    drop_media(name, entries)\n  end\n  if false then\n",
    ),
    Mutant("agent is not told", "include/seal", " supersedes = taken[1] })", " })"),
    Mutant(
        "agent is told of the last one only",
        "include/rejoin",
        "(conv.supersedes and conv.supersedes .. ' ' or '')",
        "''",
    ),
    Mutant(
        "dead letter forgets it", "include/batch", "'span', 'answered', 'supersedes' }) do", "'span', 'answered' }) do"
    ),
]

RESTART_MUTANTS = [*WHETHER, *HOW, *TOLD]
"""Noticed by the walk beside the model."""

RESTART_REPLY_MUTANTS = [
    Mutant("part under way taken back", "include/supersede", "local is_begun = sending_ms or", "local is_begun ="),
    Mutant("part that was put back taken back", "include/supersede", "sending_ms or part_since_ms or", "sending_ms or"),
    Mutant("second part taken back", "include/supersede", "(next_part or '1') ~= '1' or", "false or"),
    Mutant("part begins", "begin_part", "  elseif conv.superseded then\n", "  elseif false then\n"),
    Mutant(
        "memory of an answer that nobody got",
        "answered",
        "    call('HSET', key('conv', name), 'new_memory', ARGV[at + 6])\n",
        "    call('SET', key('memory', name), ARGV[at + 6])\n    call('HSET', key('conv', name), 'remembers', 1)\n",
    ),
    Mutant("memory never kept", "begin_part", "  if conv.new_memory then\n", "  if false then\n"),
]
"""Noticed by the walk of workers that send parts."""

RESTART_PEOPLE_MUTANTS = [
    Mutant("back before what is older", "include/rejoin", "received_of(open) < received_of(entry)", "false"),
    Mutant("media lost", "include/rejoin", "drop_media(name, revoked)", "drop_media(name, entries)"),
    Mutant(
        "edit lost", "include/rejoin", "pending_change and with_edit(entry, sub(pending_change, 2)) or entry", "entry"
    ),
    Mutant(
        "revoked message comes back", "include/rejoin", "    if pending_change == 'r' then\n", "    if false then\n"
    ),
    Mutant("revoke without a record", "include/rejoin", "    record_discard(conv, 'revoke', #revoked)\n", ""),
    Mutant("used changes stay", "include/rejoin", "    call('HDEL', key('mark', name), unpack(used))\n", ""),
    Mutant("records lost with a name", "include/merge", "    move_taken_back(keep, drop)\n", ""),
]
"""Noticed by the walk of people with several names."""
