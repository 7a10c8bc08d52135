-- resume: end a pause now; what was held is delivered at its deadline, or at once when that is over.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 conversation hash
-- returns  1 when the conversation was paused, else 0
-- touches  wake idle alias · conv

-- include: alias
-- include: entry
-- include: history
-- include: batch

local name = resolve(ARGV[2])
local conv = read_conv(name)
if not conv.paused_until_ms then
  return 0
end
go_on_when_full()
conv.paused_until_ms = nil
if not conv.flush_id then
  rearm(name, conv)
elseif not leased(conv) then
  wake_sooner(name, math.max(now_ms, number(conv, 'retry_at_ms')))
end
redis.call('HDEL', key('conv', name), 'paused_until_ms', 'pause_mode')
return 1
