-- discard: discard everything that a conversation holds, with a record; a batch in flight is marked cancelled.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 conversation hash   3 cause, for the record
-- returns  { messages discarded now, 1 if a batch in flight was cancelled }
-- touches  wake idle history tally channels alias · conv buffer batch timer lock media

-- include: alias
-- include: entry
-- include: tally_at_once
-- include: buckets
-- include: history
-- include: record_discard
-- include: window
-- include: batch
-- include: stop

local name, cause = resolve(ARGV[2]), ARGV[3]
local conv = read_conv(name)
if not conv.ref then
  return { 0, 0 }
end
allow_writes_when_full()
local discarded = discard_window(name, conv, cause)
local from_batches, in_flight = stop_batches(name, conv, cause)
if not conv.flush_id then
  rearm(name, conv)
end
return { discarded + from_batches, in_flight and 1 or 0 }
