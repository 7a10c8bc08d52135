-- redrive: deliver a dead letter again; it is served before anything new is sealed.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 flush_id
-- returns  'ok' | 'already' (redriven before) | 'gone' (its messages or fields are gone) | 'unknown'
-- touches  wake idle dead alias · conv redrive · letter remains

-- include: alias
-- include: read

local flush_id = ARGV[2]
local died_under, redriven, ref, gateway, channel, peer, sealed_name = unpack(
  read('HMGET', key('letter', flush_id), 'conversation', 'redriven', 'ref', 'gateway', 'channel', 'peer', 'name') or {})
if not died_under then
  return call('ZSCORE', key('dead'), flush_id) and 'gone' or 'unknown'
elseif not read('LINDEX', key('remains', flush_id), 0) then
  return 'gone'
elseif redriven then
  return 'already'
end
allow_writes_when_full()
local name = resolve(died_under)
local conv = read_conv(name)
if paused(conv) then
  call('ZADD', key('wake'), 'NX', number(conv, 'paused_until_ms'), name)
elseif conv.flush_id then
  call('ZADD', key('wake'), 'NX', now_ms, name)
else
  wake_set_and_announce(name, now_ms)
end
if not conv.ref then
  call('HSET', key('conv', name), 'ref', ref, 'gateway', gateway, 'channel', channel, 'peer', peer, 'name', sealed_name)
end
call('HSET', key('conv', name), 'redrive', '1')
call('ZREM', key('idle'), name)
call('RPUSH', key('redrive', name), flush_id)
call('HSET', key('letter', flush_id), 'redriven', now_ms)
return 'ok'
