-- pause: hold a conversation until a given end, or leave it to a human until then.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 conversation hash   3 partition   4 gateway   5 channel   6 peer
--          7 pause_ms   8 'hold' (messages wait) | 'takeover' (messages are recorded as discarded)
-- returns  paused_until_ms
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
-- include: takeover

local name, until_ms, mode = resolve(ARGV[2]), now_ms + tonumber(ARGV[7]), ARGV[8]
local conv = read_conv(name)
wake_set(name, tonumber(call('ZSCORE', key('wake'), name)) or until_ms) -- first (docs/invariants.md#11)
introduce(name, conv, ARGV[3], ARGV[4], ARGV[5], ARGV[6])
return pause_conversation(name, conv, until_ms, mode)
