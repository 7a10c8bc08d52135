-- fail: the batch was not delivered; try it again later, or keep it as a dead letter.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 conversation hash   3 token   4 'retry' | 'dead' | 'release'
--          5 delay_ms before the next attempt   6 max_attempts   7 the error, for people
--          'retry' counts against max_attempts; 'release' (a hand-back at shutdown) does not; 'dead' is final
-- returns  'ok' | 'dead' | 'lost' | 'cancelled'; a repeated fail returns the same as the first
-- touches  wake idle dead history counters · conv batch lock media · letter remains

-- include: entry
-- include: history
-- include: batch
-- include: fence

local name, token, mode = ARGV[2], ARGV[3], ARGV[4]
local delay_ms, max_attempts, problem = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local conv = read_conv(name)
local refused = fenced(conv, token)
if refused then
  return refused
end
allow_writes_when_full()
local failures = number(conv, 'failures') + (mode == 'release' and 0 or 1)
if conv.cancelled then
  rearm(name, conv)
  discard_batch(name, conv, conv.cancelled)
  return keep_outcome(name, token, 'cancelled')
elseif mode == 'dead' or failures >= max_attempts then
  rearm(name, conv)
  conv.failures = tostring(failures)
  make_dead_letter(name, conv, problem)
  return keep_outcome(name, token, 'dead')
end
wake_set_and_announce(name, now_ms + delay_ms)
call('HSET', key('conv', name), 'failures', failures, 'retry_at_ms', now_ms + delay_ms)
call('HDEL', key('conv', name), 'token')
call('DEL', key('lock', name))
return keep_outcome(name, token, 'ok')
