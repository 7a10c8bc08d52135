-- answered: keep the agent's answers under their leases, before anything is sent to a person (docs/invariants.md#5).
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   then five for each conversation: its hash · token · the answer (JSON) ·
--          the prints of its parts (include/parts.lua; '' = nothing is sent) · delay_ms before the first part (0 = none)
-- returns  one for each conversation: 'ok' | 'later' (the lease is given back until the first part is due) | 'lost' |
--          'cancelled' | 'broken' (its keys cannot be read); a repeated call returns the same as the first
-- touches  wake counters suspects alias · conv batch lock sick

-- include: fence
-- include: guard

-- The person shall not get the first part at once: it waits in the wake index, not in a worker.
local function wait_for_first_part(name, conv, delay_ms)
  -- include: history
  -- include: batch
  -- include: give_back
  return give_back(name, conv, now_ms + delay_ms, 'later')
end

-- `at` is the place of its arguments.
local function store_answer(name, at)
  local conv = read_conv(name)
  local refused = fenced(conv, ARGV[at + 1])
  if refused then
    return refused
  elseif conv.cancelled then
    return 'cancelled'
  elseif conv.next_part then -- an earlier try of this call that arrives late: its parts may be on their way
    return 'ok'
  end
  allow_writes_when_full()
  if ARGV[at + 3] == '' then
    call('HSET', key('conv', name), 'answer', ARGV[at + 2])
    return 'ok'
  end
  call('HSET', key('conv', name), 'answer', ARGV[at + 2], 'prints', ARGV[at + 3], 'next_part', 1)
  local delay_ms = tonumber(ARGV[at + 4])
  return delay_ms > 0 and wait_for_first_part(name, conv, delay_ms) or 'ok'
end

local replies = {}
for i = 2, #ARGV, 5 do
  table.insert(replies, guarded(store_answer, ARGV[i], i) or 'broken')
end
return replies
