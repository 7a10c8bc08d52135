-- settle_doubt: a person decides about a part in doubt: it is sent again, or dropped with a record.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 <flush_id>.<part>   3 'send' | 'drop'
-- returns  'ok' | 'unknown' (it is not in doubt)
-- touches  wake idle dead history tally channels alias · conv redrive · letter · doubt doubted sent
--
-- It is sent as a batch of its own, with the flush_id <flush_id>.<part>: a gateway may drop a repeated id.

-- include: alias
-- include: tally_at_once
-- include: buckets
-- include: history
-- include: parts
-- include: sent
-- include: doubt_letter
-- include: read
-- include: redrive_letter

local doubt_id, action = ARGV[2], ARGV[3]
allow_writes_when_full()
local doubt = take_doubt(doubt_id)
if not doubt then
  return 'unknown'
end
remember_text(doubt.conversation or '', print_of(doubt, tonumber(doubt.number) or 1), doubt_id) -- its echo may still come
if action == 'send' then
  make_doubt_letter(doubt_id, doubt, doubt.reason or '')
  return redrive_letter(doubt_id)
end
history_push('ref', doubt.ref or '', 'gateway', doubt.gateway or '', 'channel', doubt.channel or '',
  'peer', doubt.peer or '', 'outcome', 'dropped', 'part', doubt_id, 'error', doubt.reason or '')
tally(doubt, 'doubts_dropped', 1)
return 'ok'
