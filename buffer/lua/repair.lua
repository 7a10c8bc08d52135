-- repair: put lost wake entries back, and drop those of conversations that hold nothing.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   then conversation hashes …
-- returns  { entries put back, entries dropped }
-- touches  wake idle · conv

local back, dropped = 0, 0
for i = 2, #ARGV do
  local name = ARGV[i]
  local conv = read_conv(name)
  local holds = conv.flush_id or conv.opened_ms or conv.redrive
  if holds or paused(conv) then
    back = back + redis.call('ZADD', key('wake'), 'NX', now_ms, name)
  else
    dropped = dropped + redis.call('ZREM', key('wake'), name)
    if conv.ref then
      redis.call('ZADD', key('idle'), 'NX', now_ms, name)
    end
  end
end
return { back, dropped }
