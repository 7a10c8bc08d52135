-- renew: keep a lease while the agent thinks.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 conversation hash   3 token   4 lease_ms
-- returns  'ok' | 'lost' (another worker has it: stop) | 'cancelled' (discarded by an operator: stop, release)
-- touches  wake · conv lock

-- include: fence

local name, token, lease_ms = ARGV[2], ARGV[3], tonumber(ARGV[4])
local conv = read_conv(name)
if conv.token ~= token then
  return 'lost'
elseif conv.cancelled then
  return 'cancelled'
end
go_on_when_full()
wake(name, now_ms + lease_ms)
redis.call('HSET', key('conv', name), 'lease_until_ms', now_ms + lease_ms)
redis.call('SET', key('lock', name), token, 'PX', lease_ms)
return 'ok'
