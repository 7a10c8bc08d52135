"""The seeded bugs in the parts of answers, by the rule that they break (docs/invariants.md#12 to #16)."""

from __future__ import annotations

from tests.property.seeded_bug import Mutant

ONCE = [
    Mutant("part not marked", "begin_part", "  call('HSET', key('conv', name), 'sending_ms', now_ms)\n", ""),
    Mutant(
        "part of a dead worker sent again",
        "claim",
        "conv.doubted_part = settle_sending(name, conv, doubt_again)",
        "forget_sending(name, conv)",
    ),
    Mutant("late answer starts anew", "answered", "  if conv.next_part then --", "  if false then --"),
    Mutant(
        "echo before a failure ignored",
        "end_part",
        "  if conv.sending_seen then -- an echo",
        "  if false then -- an echo",
    ),
    Mutant("begin not fenced", "begin_part", "local refused = fenced(conv, token)", "local refused = nil"),
    Mutant("end not fenced", "end_part", "local refused = fenced(conv, token)", "local refused = nil"),
    Mutant("begin after the lease", "begin_part", "elseif not leased(conv) then", "elseif false then"),
    Mutant("repeated begin counts again", "begin_part", "  elseif conv.sending_ms then --", "  elseif false then --"),
    Mutant(
        "part that is put back stays marked",
        "include/parts",
        "  call('HDEL', key('conv', name), unpack(SENDING_FIELDS))\n",
        "",
    ),
    Mutant("part not counted", "include/parts", "number(conv, 'next_part') + 1", "number(conv, 'next_part')"),
    Mutant("token not given back", "include/give_back", "  call('HDEL', key('conv', name), 'token')\n", ""),
    Mutant(
        "given back without a wake entry",
        "include/give_back",
        "= conv.token\n  wake_set_and_announce(name, at_ms)\n",
        "= conv.token\n",
    ),
    Mutant(
        "put back and forgotten", "include/give_back", "return keep_outcome(name, token, outcome)", "return outcome"
    ),
    Mutant("never given up", "end_part", "now_ms - since_ms >= ending.give_up_ms", "false"),
    Mutant("age of a part forgotten", "end_part", "  call('HSET', key('conv', name), 'part_since_ms', since_ms)\n", ""),
    Mutant("moment kept twice", "begin_part", "tonumber(conv.slot_ms) or reserve(", "reserve("),
    Mutant("channel's limit ignored", "begin_part", "if channel_interval_ms > 0 then", "if false then"),
    Mutant("person's limit ignored", "begin_part", "if person_interval_ms > 0 then", "if false then"),
    Mutant("burst ignored", "begin_part", "arrival_ms - (burst - 1) * interval_ms", "arrival_ms"),
    Mutant("limit moved earlier", "end_part", "max(at_ms, tonumber(call('GET', key('rate', tag))) or 0)", "at_ms"),
    Mutant("held channel ignored", "begin_part", "  elseif is_ahead(until_ms) then\n    return until_ms\n", ""),
    Mutant(
        "every part is a probe", "begin_part", "  call('HSET', key('held', tag), 'until_ms', now_ms + probe_ms)\n", ""
    ),
    Mutant("channel never held", "end_part", "    hold_channel(tag, at_ms, ending.reason)\n", ""),
    Mutant(
        "channel held for ever",
        "end_part",
        "    call('DEL', key('held', tag))\n    count_sent(conv)\n",
        "    count_sent(conv)\n",
    ),
]

DOUBT = [
    Mutant(
        "part of a dead worker counts as sent",
        "include/parts",
        "    note_doubt(name, conv, 'its worker died or lost its lease while the request was on its way')\n",
        "",
    ),
    Mutant("failed request counts as sent", "end_part", "    note_doubt(name, conv, ending.reason)\n", ""),
    Mutant("doubt not listed", "include/parts", "  call('ZADD', key('doubt'), now_ms, doubt_id)\n", ""),
    Mutant("echo resolves nothing", "include/parts", "    resolve_doubt(part)\n  end\n", "  end\n"),
    Mutant("text of an echo ignored", "own_message", "text_print == '' or text_print == NO_PRINT", "true"),
    Mutant("echo before the answer ignored", "include/parts", "'sending_seen', '1')", "'seen', '1')"),
    Mutant("echo of a part that is put back", "include/parts", "      advance(name, conv)\n    end\n", "    end\n"),
    Mutant("same echo is a human's", "own_message", "  remember_sent(ARGV[8], tag, holder, part)\n", ""),
    Mutant("own id forgotten", "begin_part", "  remember_sent(own_id, tag, name, part_id(conv))\n", ""),
    Mutant("gateway's id forgotten", "end_part", "      remember_sent(ending.id, tag, name, part_id(conv))\n", ""),
    Mutant(
        "part without an id forgotten",
        "end_part",
        "      remember_text(name, print_of(conv, number(conv, 'next_part')), part_id(conv))\n",
        "",
    ),
    Mutant("text remembered for ever", "include/sent", "    forget_sent(sub(name, -4), text_print)\n", ""),
    Mutant("echo after a day", "own_message", "now_ms - since_ms <= ECHO_MAX_MS", "true"),
    Mutant("status resolves nothing", "part_status", "  note_evidence(holder, conv, part)\n", ""),
    Mutant("failed part stays in doubt", "part_status", "local doubt = take_doubt(part)", "local doubt = nil"),
    Mutant("failure counted twice", "part_status", "if not holder or part == FAILED then", "if not holder then"),
    Mutant("zombie brings no evidence", "end_part", "ending.how == 'sent' and resolve_doubt(doubt_id)", "false"),
    Mutant(
        "settled twice",
        "include/parts",
        "if call('ZREM', key('doubt'), doubt_id) == 0 then",
        "if not call('ZSCORE', key('doubt'), doubt_id) then",
    ),
    Mutant("settled doubt stays with its person", "include/parts", "  drop_doubt(holder, doubt_id)\n", ""),
    Mutant(
        "dropped without a record",
        "settle_doubt",
        "'outcome', 'dropped', 'part', doubt_id,",
        "'outcome', 'dropped',",
    ),
    Mutant("doubt not sent again", "settle_doubt", "return redrive_letter(doubt_id)", "return 'ok'"),
]

ORDER = [
    Mutant("any part begins", "begin_part", "tonumber(conv.next_part) ~= part", "false"),
    Mutant("next part not of the claim", "claim", "conv.next_part or 0, conv", "conv.next_part and 1 or 0, conv"),
    Mutant(
        "next burst overtakes the parts",
        "claim",
        "  if conv.flush_id then\n    return number(conv",
        "  if conv.flush_id and not conv.next_part then\n    return number(conv",
    ),
    Mutant(
        "parts leave in a pause",
        "begin_part",
        "  if paused(conv) then\n    return wait_for_resume(name, conv)\n  end\n",
        "",
    ),
    Mutant(
        "resume forgets a part",
        "begin_part",
        "  call('HDEL', key('conv', name), 'retry_at_ms')\n",
        "",
    ),
    Mutant("pace ignored", "end_part", "delay_ms > 0 and conv.next_part <= last_part(conv)", "false"),
    Mutant("pace of the first part ignored", "answered", "  return ARGV[at + 4] ~= '0' and", "  return false and"),
    Mutant("parts survive the flush", "include/parts", "'prints', 'next_part', 'last_part')\n", "'last_part')\n"),
]

TAKEOVER = [
    Mutant("takeover leaves the batch", "include/takeover", "    stop_batches(name, conv, 'takeover')\n", ""),
    Mutant("takeover leaves the burst", "include/takeover", "    discard_window(name, conv, 'takeover')\n", ""),
    Mutant(
        "part begins after a takeover",
        "begin_part",
        "  elseif conv.cancelled then\n    return { 'cancelled', 0 }\n",
        "",
    ),
    Mutant("takeover is no pause", "own_message", "now_ms + pause_ms, 'takeover')\n", "now_ms, 'hold')\n"),
    Mutant("other programs take over", "own_message", "elseif tonumber(ARGV[13]) > 0 then", "else"),
    Mutant("keyword without effect", "own_message", "  resume_conversation(name, conv)\n", ""),
    Mutant("hand-over without a pause", "ack", "    if pause_ms > 0 then", "    if false then"),
    Mutant(
        "takeover forgets the part on its way",
        "include/batch",
        "    deal_with_parts(name, conv, 'settle')\n  end\n  forget_batch",
        "  end\n  forget_batch",
    ),
    Mutant("end of a cancelled part is ok", "end_part", "conv.cancelled and 'cancelled' or go_on(", "go_on("),
    Mutant(
        "cancelled part is put back",
        "end_part",
        "  elseif conv.cancelled then\n    forget_sending(name, conv)\n    return 'cancelled'\n",
        "",
    ),
    Mutant(
        "late answer for a human's conversation",
        "answered",
        "  elseif conv.cancelled then\n    return",
        "  elseif false then\n    return",
    ),
]

ANSWER = [
    Mutant("memory not kept", "answered", "call('HSET', key('conv', name), 'new_memory', ARGV[at + 6])", ""),
    Mutant("dead letter without its parts", "include/batch", "'answer', 'prints',\n", "'answer',\n"),
    Mutant(
        "dead letter without its next part",
        "include/batch",
        "'next_part', 'last_part', 'span', 'answered', 'supersedes' }) do",
        "'last_part', 'span', 'answered', 'supersedes' }) do",
    ),
    Mutant("dead letter sends all parts", "include/redeliver", "next_part = next,", "next_part = next and '1',"),
    Mutant("dead letter forgets its answer", "include/redeliver", "answer = answer,", "answer = nil,"),
    Mutant("doubt sends the rest too", "include/doubt_letter", "'last_part', doubt.number }", "}"),
    Mutant("answer without messages discarded", "claim", "not conv.answer and call('LLEN'", "call('LLEN'"),
    Mutant(
        "dead answer without messages discarded",
        "include/batch",
        "if messages == 0 and not conv.answer then",
        "if messages == 0 then",
    ),
    Mutant(
        "dead letter forgets the part on its way",
        "include/batch",
        "    deal_with_parts(name, conv, 'settle')\n  end\n  table.insert(record, 'error')",
        "  end\n  table.insert(record, 'error')",
    ),
    Mutant("refused part is put back", "end_part", "  elseif ending.how == 'refused' then", "  elseif false then"),
    Mutant(
        "letter without messages is not whole",
        "include/redeliver",
        "(remains == 'none' and call('HEXISTS', key('letter', flush_id), 'answer') == 1)",
        "false",
    ),
]

REPLY_MUTANTS = [*ONCE, *DOUBT, *ORDER, *TAKEOVER, *ANSWER]
