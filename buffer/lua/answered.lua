-- answered: keep the agent's answers under their leases, before anything is sent to a person (docs/invariants.md#5).
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   then three for each conversation: its hash · token · the answer (JSON)
-- returns  one for each conversation: 'ok' | 'lost' | 'cancelled' | 'broken' (its keys cannot be read)
-- touches  wake counters · conv sick

-- include: guard

local function store_answer(name, token, answer)
  local conv = read_conv(name)
  if conv.token ~= token then
    return 'lost'
  elseif conv.cancelled then
    return 'cancelled'
  end
  allow_writes_when_full()
  call('HSET', key('conv', name), 'answer', answer)
  return 'ok'
end

local replies = {}
for i = 2, #ARGV, 3 do
  table.insert(replies, guarded(store_answer, ARGV[i], ARGV[i + 1], ARGV[i + 2]) or 'broken')
end
return replies
