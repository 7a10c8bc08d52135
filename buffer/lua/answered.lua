-- answered: keep the agent's answer under the lease, before anything is sent to the person (invariant 5).
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 conversation hash   3 token   4 the answer (JSON)
-- returns  'ok' | 'lost' | 'cancelled'
-- touches  conv

local name, token, answer = ARGV[2], ARGV[3], ARGV[4]
local conv = read_conv(name)
if conv.token ~= token then
  return 'lost'
elseif conv.cancelled then
  return 'cancelled'
end
go_on_when_full()
redis.call('HSET', key('conv', name), 'answer', answer)
return 'ok'
