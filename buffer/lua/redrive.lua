-- redrive: deliver a dead letter again; it is served before anything new is sealed.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 flush_id
-- returns  'ok' | 'already' (asked for before) | 'unknown'
-- touches  wake idle alias · conv redrive · letter

-- include: alias

local flush_id = ARGV[2]
local letter = redis.call('HMGET', key('letter', flush_id), 'conversation', 'redriven', 'ref', 'gateway', 'channel',
  'peer', 'name')
if not letter[1] then
  return 'unknown'
elseif letter[2] then
  return 'already'
end
go_on_when_full()
local name = resolve(letter[1])
local conv = read_conv(name)
if paused(conv) then
  redis.call('ZADD', key('wake'), 'NX', number(conv, 'paused_until_ms'), name)
elseif conv.flush_id then
  redis.call('ZADD', key('wake'), 'NX', now_ms, name)
else
  wake_sooner(name, now_ms)
end
if not conv.ref then
  redis.call('HSET', key('conv', name), 'ref', letter[3], 'gateway', letter[4], 'channel', letter[5], 'peer', letter[6],
    'name', letter[7])
end
redis.call('HSET', key('conv', name), 'redrive', '1')
redis.call('ZREM', key('idle'), name)
redis.call('RPUSH', key('redrive', name), flush_id)
redis.call('HSET', key('letter', flush_id), 'redriven', now_ms)
return 'ok'
