-- pause: hold a conversation until a given end, or leave it to a human until then.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 conversation hash   3 partition   4 gateway   5 channel   6 peer
--          7 pause_ms   8 'hold' (messages wait) | 'takeover' (messages are recorded as discarded)
-- returns  paused_until_ms
-- touches  wake idle history counters alias · conv buffer batch timer lock media

-- include: alias
-- include: entry
-- include: history
-- include: window
-- include: batch
-- include: stop

local name, until_ms, mode = resolve(ARGV[2]), now_ms + tonumber(ARGV[7]), ARGV[8]
local conv = read_conv(name)
if conv.flush_id and leased(conv) then
  call('ZADD', key('wake'), 'NX', now_ms, name)
else
  wake_set(name, until_ms)
end
if not conv.ref then
  conv.ref = ARGV[3] .. '-' .. name
  call('HSET', key('conv', name), 'ref', conv.ref, 'gateway', ARGV[4], 'channel', ARGV[5], 'peer', ARGV[6])
end
call('HSET', key('conv', name), 'paused_until_ms', until_ms, 'pause_mode', mode)
call('ZREM', key('idle'), name)
if mode == 'takeover' then
  discard_window(name, conv, 'takeover')
  stop_batches(name, conv, 'takeover')
end
return until_ms
