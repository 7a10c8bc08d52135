-- await_answer: the agent has taken a batch and will post its answer; give the lease back until then.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 conversation hash   3 token   4 within_ms, how long the answer is waited for
-- returns  'waiting' | 'lost' | 'cancelled' | 'superseded' (the person goes on, and the batch was taken back) | 'broken' (its
--          keys cannot be read); a repeated call returns the same as the first
-- touches  wake idle history tally channels counters suspects alias · conv buffer batch timer lock media mark sick
--
-- The batch stays in hand, so what the person writes meanwhile waits behind it. When the time is over, the claim brings the
-- batch back with the mark that its answer was awaited.

-- include: fence
-- include: give_back
-- include: guard

local name, token, within_ms = ARGV[2], ARGV[3], tonumber(ARGV[4])

local function await()
  local conv = read_conv(name)
  local refused = fenced(conv, token)
  if refused then
    return refused
  elseif conv.cancelled then
    return 'cancelled'
  elseif conv.superseded then
    -- include: tally_at_once
    -- include: buckets
    -- include: history
    -- include: batch
    -- include: rejoin
    -- include: take_back
    return take_back(name, conv)
  end
  allow_writes_when_full()
  call('HSET', key('conv', name), 'awaited_ms', now_ms + within_ms)
  return give_back(name, conv, now_ms + within_ms, 'waiting')
end

return guarded(await, name) or 'broken'
