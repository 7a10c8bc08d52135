-- renew: extend leases while the agent works.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 lease_ms   then two for each conversation: its hash · token
-- returns  one for each conversation: 'ok' | 'lost' (another worker has it: stop) | 'cancelled' (discarded by an
--          operator: stop, release) | 'superseded' (the person goes on: stop, release) | 'broken' (its keys cannot be read:
--          stop)
-- touches  wake counters suspects · conv lock sick

-- include: guard

local lease_ms = tonumber(ARGV[2])

local function renew(name, token)
  local conv = read_conv(name)
  if conv.token ~= token then
    return conv.done_token == token and conv.done_outcome == 'superseded' and 'superseded' or 'lost'
  elseif conv.cancelled or conv.superseded then
    return conv.cancelled and 'cancelled' or 'superseded'
  end
  allow_writes_when_full()
  wake_set(name, now_ms + lease_ms)
  call('HSET', key('conv', name), 'lease_until_ms', now_ms + lease_ms)
  call('SET', key('lock', name), token, 'PX', lease_ms)
  if conv.crashes ~= '0' then
    call('ZADD', key('suspects'), 'XX', now_ms + lease_ms, name)
  end
  return 'ok'
end

local replies = {}
for i = 3, #ARGV, 2 do
  table.insert(replies, guarded(renew, ARGV[i], ARGV[i + 1]) or 'broken')
end
return replies
