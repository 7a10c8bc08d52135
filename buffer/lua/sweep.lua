-- sweep: forget conversations that have held nothing for longer than message ids are remembered.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 idle_ms   3 limit
-- returns  how many were forgotten
-- touches  idle · conv seen timer
--
-- An index instead of a TTL per conversation: volatile keys slow every expiry event down.

local before_ms, limit = now_ms - tonumber(ARGV[2]), tonumber(ARGV[3])
local gone = redis.call('ZRANGEBYSCORE', key('idle'), '-inf', before_ms, 'LIMIT', 0, limit)
for _, name in ipairs(gone) do
  redis.call('DEL', key('conv', name), key('seen', name), key('timer', name))
  redis.call('ZREM', key('idle'), name)
end
return #gone
