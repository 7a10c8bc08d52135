-- sweep: forget conversations that have held nothing for longer than message ids are remembered.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 idle_ms   3 limit
-- returns  how many were forgotten
-- touches  idle alias · conv seen timer mark
--
-- An index instead of a TTL per conversation: volatile keys slow every expiry event down.

local before_ms, limit = now_ms - tonumber(ARGV[2]), tonumber(ARGV[3])
local gone = redis.call('ZRANGEBYSCORE', key('idle'), '-inf', before_ms, 'LIMIT', 0, limit)
for _, name in ipairs(gone) do
  local aliases = redis.call('HGET', key('conv', name), 'aliases') or ''
  for i = 1, #aliases, 16 do
    redis.call('HDEL', key('alias'), string.sub(aliases, i, i + 15))
  end
  redis.call('DEL', key('conv', name), key('seen', name), key('timer', name), key('mark', name))
  redis.call('ZREM', key('idle'), name)
end
return #gone
