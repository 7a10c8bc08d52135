-- repair: put lost wake entries back, and drop those of conversations that hold nothing.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   then conversation hashes …
-- returns  { entries put back, entries dropped }
-- touches  wake idle counters · conv sick

-- include: guard

local put_back, dropped = 0, 0

local function repair(name)
  local flush_id, window, redrive, paused_until_ms, ref =
    unpack(call('HMGET', key('conv', name), 'flush_id', 'window', 'redrive', 'paused_until_ms', 'ref'))
  if flush_id or window or redrive or paused({ paused_until_ms = paused_until_ms }) then
    put_back = put_back + call('ZADD', key('wake'), 'NX', now_ms, name)
  else
    dropped = dropped + call('ZREM', key('wake'), name)
    if ref then
      call('ZADD', key('idle'), 'NX', now_ms, name)
    end
  end
end

for i = 2, #ARGV do
  guarded(repair, ARGV[i])
end
return { put_back, dropped }
