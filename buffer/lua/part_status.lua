-- part_status: note what a gateway says of a part after it took it.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 tag of the channel   3 fingerprint of its id   4 fingerprint of an id or mark of ours
--          ('' = none each)   5 'sent' | 'failed'   6 the reason, for people
-- returns  <flush_id>.<part>, or '' if no part is known by these ids
-- touches  history tally channels · conv · dead · letter · sent doubt doubted
--
-- A part in doubt that failed becomes a dead letter. One that counts as sent is recorded, and never sent again by itself.

-- include: tally_at_once
-- include: buckets
-- include: history
-- include: parts
-- include: sent
-- include: doubt_letter

local FAILED = 'failed' -- stands for the part of an id when its failure is noted: a gateway may say it again
local tag, state, reason = ARGV[2], ARGV[5], ARGV[6]
local holder, part = find_sent(tag, ARGV[3], ARGV[4])
if not holder or part == FAILED then
  return ''
end
allow_writes_when_full()
local conv = read_conv(holder)
if state == 'sent' then
  note_evidence(holder, conv, part)
  return part
end
remember_sent(ARGV[3], tag, holder, FAILED)
remember_sent(ARGV[4], tag, holder, FAILED)
local doubt = take_doubt(part)
if doubt then
  make_doubt_letter(part, doubt, reason)
  tally(doubt, 'parts_refused', 1)
  tally(doubt, 'dead_letters', 1)
else
  history_push('ref', conv.ref or '', 'gateway', conv.gateway or '', 'channel', conv.channel or '',
    'peer', conv.peer or '', 'outcome', 'failed_after_sent', 'part', part, 'error', reason)
  tally(conv, 'failed_after_sent', 1)
end
return part
