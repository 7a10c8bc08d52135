-- answered: keep the agent's answers under their leases, before anything is sent to a person (docs/invariants.md#5).
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   then seven for each conversation: its hash · token · the answer (JSON) ·
--          the prints of its parts (include/parts.lua; '' = nothing is sent) · delay_ms before the first part (0 = none) ·
--          agent_ms, how long the agent took ('' = unknown) · the agent's new memory ('' = as it was)
-- returns  one for each conversation: 'ok' | 'later' (the lease is given back until the first part is due) | 'lost' |
--          'cancelled' | 'superseded' (the person goes on, and the batch was taken back) | 'broken' (its keys cannot be
--          read); a repeated call returns the same as the first
-- touches  wake idle history alias tally channels counters suspects · conv buffer batch timer lock media mark memory sick
--
-- The agent's memory is that of an answer the person has got: it is kept aside until the first part begins.

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

-- `at` is the place of its arguments.
local function store_answer(name, at)
  local conv = read_conv(name)
  if conv.token ~= ARGV[at + 1] then
    return refuse_or_wait(name, conv, at)
  elseif conv.cancelled then
    return 'cancelled'
  elseif conv.superseded then
    -- include: history
    -- include: batch
    -- include: fence
    -- include: rejoin
    -- include: take_back
    return take_back(name, conv)
  end
  local answered = note_answer(conv, at)
  if conv.next_part then -- an earlier try of this call that arrives late: its parts may be on their way
    return 'ok'
  end
  allow_writes_when_full()
  if ARGV[at + 3] == '' then
    if ARGV[at + 6] ~= '' then
      -- include: keep_memory
      keep_memory(name, ARGV[at + 6])
    end
    call('HSET', key('conv', name), 'answer', ARGV[at + 2], 'answered', answered)
    return 'ok'
  end
  call('HSET', key('conv', name), 'answer', ARGV[at + 2], 'answered', answered, 'prints', ARGV[at + 3],
    'next_part', 1)
  if ARGV[at + 6] ~= '' then
    call('HSET', key('conv', name), 'new_memory', ARGV[at + 6])
  end
  return ARGV[at + 4] ~= '0' and refuse_or_wait(name, conv, at) or 'ok'
end

local replies = {}
for i = 2, #ARGV, 7 do
  table.insert(replies, guarded(store_answer, ARGV[i], i) or 'broken')
end
-- include: write_tallies
return replies
