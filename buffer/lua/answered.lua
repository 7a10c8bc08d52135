-- answered: keep the agent's answers under their leases, before anything is sent to a person (docs/invariants.md#5).
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   then five for each conversation: its hash · token · the answer (JSON) ·
--          the prints of its parts (include/parts.lua; '' = nothing is sent) · delay_ms before the first part (0 = none)
-- returns  one for each conversation: 'ok' | 'later' (the lease is given back until the first part is due) | 'lost' |
--          'cancelled' | 'broken' (its keys cannot be read); a repeated call returns the same as the first
-- touches  wake counters suspects · conv lock sick

-- include: guard

-- Refuse another token than the current one; else give the lease back until the first part is due. These steps are made
-- for the few calls that need them: a script makes all its functions in each call.
local function refuse_or_wait(name, conv, at)
  -- include: fence
  -- include: give_back
  return fenced(conv, ARGV[at + 1]) or give_back(name, conv, now_ms + ARGV[at + 4], 'later')
end

-- `at` is the place of its arguments.
local function store_answer(name, at)
  local conv = read_conv(name)
  if conv.token ~= ARGV[at + 1] then
    return refuse_or_wait(name, conv, at)
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
  return ARGV[at + 4] ~= '0' and refuse_or_wait(name, conv, at) or 'ok'
end

local replies = {}
for i = 2, #ARGV, 5 do
  table.insert(replies, guarded(store_answer, ARGV[i], i) or 'broken')
end
return replies
