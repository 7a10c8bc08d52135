-- resume: end a pause now; messages that waited are delivered at their deadline, or at once when that is over.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 conversation hash
-- returns  1 when the conversation was paused, else 0
-- touches  wake idle alias · conv

-- include: alias
-- include: entry
-- include: history
-- include: batch
-- include: stop

local name = resolve(ARGV[2])
local conv = read_conv(name)
if not conv.paused_until_ms then
  return 0
end
allow_writes_when_full()
conv.paused_until_ms = nil

local function wake_batch(holder, holder_conv)
  if not leased(holder_conv) then
    wake_set_and_announce(holder, max(now_ms, number(holder_conv, 'retry_at_ms')))
  end
end

if conv.flush_id then
  wake_batch(name, conv)
else
  rearm(name, conv)
end
for alias, alias_conv in pairs(aliases_with_batch(conv)) do
  wake_batch(alias, alias_conv)
end
call('HDEL', key('conv', name), 'paused_until_ms', 'pause_mode')
return 1
