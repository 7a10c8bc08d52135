-- resume: end a pause now; messages that waited are delivered at their deadline, or at once when that is over.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 conversation hash
-- returns  1 when the conversation was paused, else 0
-- touches  wake idle alias · conv

-- include: alias
-- include: entry
-- include: tally_at_once
-- include: buckets
-- include: history
-- include: record_discard
-- include: window
-- include: batch
-- include: stop
-- include: takeover

local name = resolve(ARGV[2])
return resume_conversation(name, read_conv(name)) and 1 or 0
