"""The seeded bugs of what is counted for a channel: a walk beside the model must fail with each."""

from __future__ import annotations

from tests.property.seeded_bug import Mutant

COUNTER_MUTANTS = [
    Mutant("message not counted", "append", "    coded = coded + 1\n", "    coded = max(1, coded)\n"),
    Mutant("counts added up twice", "include/fold", "type(try('DEL', key('uncounted'))) == 'table'", "false"),
    Mutant(
        "counts lost when there are many", "include/note_counts", "    fold()\n", "    call('DEL', key('uncounted'))\n"
    ),
    Mutant("sweep loses counts", "sweep", "fold()\nage", "call('DEL', key('uncounted'))\nage"),
    Mutant("resent message counted again", "include/append_one", "known ~= nonce and 24 or nil", "24"),
    Mutant("a turn is split anew each time", "include/burst", "  elseif is_split then\n    return gap + SPLITS\n", ""),
    Mutant("a new turn is split already", "include/burst", "is_split and flags - TURN_SPLIT or", ""),
    Mutant("split is forgotten at the ack", "ack", ".. sub(span, 26, 26)", ".. '\\0'"),
    Mutant("first message begins no turn", "include/burst", "    return NO_GAP + BEGINS_TURN\n", "    return NO_GAP\n"),
    Mutant("a turn that never ends", "include/burst", "TURN_GAP_MS = 60000", "TURN_GAP_MS = 120000"),
    Mutant("gap within a burst only", "append", "conv.opened_ms and conv.last_ms or sealed_ms", "conv.last_ms or 0"),
    Mutant("gap after a read answer", "append", "  if has_read then\n", "  if false then\n"),
    Mutant("a read answer ends every later gap", "include/burst", "conv.read_ms, conv.flags = nil,", "conv.flags ="),
    Mutant("no gap is known up to a read answer", "include/burst", "  if silent_ms then\n", "  if false then\n"),
    Mutant("a hold lets long gaps be seen", "include/burst", "flags % 4 >= HELD and", "false and"),
    Mutant("a gap behind a hold begins a turn", "include/fold", "    if not is_cut then\n", "    if true then\n"),
    Mutant("a bucket seen in part never counts", "include/burst", " + now_ms % 64 / 64)", ")"),
    Mutant("a read answer counts as a gap", "include/fold", "if is_silent and kind <= READ_MAX then", "if false then"),
    Mutant("gap after an unread answer missed", "append", " and now_ms - acked_ms > ANSWER_READ_MS\n", "\n"),
    Mutant(
        "every gap splits a burst",
        "include/burst",
        "if conv.opened_ms and gap_ms <= TURN_GAP_MS",
        "if false and gap_ms <= TURN_GAP_MS",
    ),
    Mutant(
        "what a cap leaves is no split",
        "include/seal",
        "    if not single and receipt_of",
        "    if false and receipt_of",
    ),
    Mutant("gap in another bucket", "include/burst", "math.ceil(GAP_STEPS_PER_E", "math.floor(GAP_STEPS_PER_E"),
    Mutant("gaps never fade", "sweep", "age_tallies()\nreturn", "return"),
    Mutant(
        "day of the first count not noted",
        "include/new_tally",
        "'gap_day', math.floor(now_ms / DAY_MS)",
        "'gap_day', 0",
    ),
    Mutant(
        "flush counted twice",
        "claim",
        "tally(conv, 'flushes_' .. conv.reason, 1)",
        "tally(conv, 'flushes_' .. conv.reason, 2)",
    ),
    Mutant(
        "repeated claim counts a flush",
        "claim",
        "        return batch_reply()\n",
        "        return tally(conv, 'flushes_quiet', 1) and batch_reply()\n",
    ),
    Mutant("busy claim not counted", "claim", "    tally(conv, 'claims_busy', 1)\n", ""),
    Mutant("recovered lease not counted", "claim", "        tally(conv, 'leases_recovered', 1)\n", ""),
    Mutant("ack counted twice", "ack", "tally(flush.conv, 'acked', 1)", "tally(flush.conv, 'acked', 2)"),
    Mutant("second answer not counted", "answered", "    tally(conv, 'answers_again', 1)\n", ""),
    Mutant(
        "discarded burst counted for another channel",
        "include/record_discard",
        "opened_ms or '')\n  tally(conv,",
        "opened_ms or '')\n  tally({},",
    ),
    Mutant(
        "discarded batch counted twice",
        "include/batch",
        "'messages_discarded', messages)\n  forget_batch(name, conv)\n",
        "'messages_discarded', 2 * messages)\n  forget_batch(name, conv)\n",
    ),
    Mutant("failure not counted", "fail", "    tally(conv, 'agent_failures', 1)\n", ""),
    Mutant("redrive not counted", "redrive", "  tally({ gateway = gateway, channel = channel }, 'redriven', 1)\n", ""),
]
