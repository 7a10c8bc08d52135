-- answered: keep the agent's answers under their leases, before anything is sent to a person (docs/invariants.md#5).
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   then seven for each conversation: its hash · token · the answer (JSON) ·
--          the prints of its parts (include/parts.lua; '' = nothing is sent) · delay_ms before the first part (0 = none) ·
--          agent_ms, how long the agent took ('' = unknown) · the agent's new memory ('' = as it was)
-- returns  one for each conversation: 'ok' | 'later' (the lease is given back until the first part is due) | 'lost' |
--          'cancelled' | 'broken' (its keys cannot be read); a repeated call returns the same as the first
-- touches  wake alias tally channels counters suspects · conv lock memory sick

-- include: tally
-- include: buckets
-- include: guard

-- Refuse another token than the current one; else give the lease back until the first part is due. These steps are made
-- for the few calls that need them: a script makes all its functions in each call.
local function refuse_or_wait(name, conv, at)
  -- include: fence
  -- include: give_back
  return fenced(conv, ARGV[at + 1]) or give_back(name, conv, now_ms + ARGV[at + 4], 'later')
end

local NOW = string.format('%d ', now_ms)

-- Count an answer. Return when it came and under which fence, for the field `answered`. A second answer of a batch must
-- never come. The same one under the same lease is no second one: a reply was lost.
local function note_answer(conv, at)
  local agent_ms = tonumber(ARGV[at + 5])
  if conv.answer == ARGV[at + 2] and conv.answered and string.match(conv.answered, ' (.*)$') == conv.fence then
    return conv.answered
  elseif conv.answer then
    tally(conv, 'answers_again', 1)
  end
  if agent_ms then
    tally(conv, 'agent_ms' .. latency_bucket(agent_ms), 1, 'agent_ms:sum', agent_ms)
  end
  return NOW .. (conv.fence or '')
end

-- Keep the agent's memory under the hash that stays when the person writes from another id.
local function keep_memory(name, memory)
  -- include: alias
  local kept = resolve(name)
  call('SET', key('memory', kept), memory)
  call('HSET', key('conv', kept), 'remembers', 1)
end

-- `at` is the place of its arguments.
local function store_answer(name, at)
  local conv = read_conv(name)
  if conv.token ~= ARGV[at + 1] then
    return refuse_or_wait(name, conv, at)
  elseif conv.cancelled then
    return 'cancelled'
  end
  local answered = note_answer(conv, at)
  if conv.next_part then -- an earlier try of this call that arrives late: its parts may be on their way
    return 'ok'
  end
  allow_writes_when_full()
  if ARGV[at + 6] ~= '' then
    keep_memory(name, ARGV[at + 6])
  end
  if ARGV[at + 3] == '' then
    call('HSET', key('conv', name), 'answer', ARGV[at + 2], 'answered', answered)
    return 'ok'
  end
  call('HSET', key('conv', name), 'answer', ARGV[at + 2], 'answered', answered, 'prints', ARGV[at + 3],
    'next_part', 1)
  return ARGV[at + 4] ~= '0' and refuse_or_wait(name, conv, at) or 'ok'
end

local replies = {}
for i = 2, #ARGV, 7 do
  table.insert(replies, guarded(store_answer, ARGV[i], i) or 'broken')
end
-- include: write_tallies
return replies
