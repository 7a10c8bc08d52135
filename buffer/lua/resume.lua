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

local function wake_batch(holder, its)
  if not leased(its) then
    wake_sooner(holder, math.max(now_ms, number(its, 'retry_at_ms')))
  end
end

if conv.flush_id then
  wake_batch(name, conv)
else
  rearm(name, conv)
end
for other, its in pairs(left_behind(conv)) do
  wake_batch(other, its)
end
redis.call('HDEL', key('conv', name), 'paused_until_ms', 'pause_mode')
return 1
