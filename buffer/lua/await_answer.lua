-- await_answer: the agent has taken a batch and will post its answer; give the lease back until then.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 conversation hash   3 token   4 within_ms, how long the answer is waited for
-- returns  'waiting' | 'lost' | 'cancelled' | 'broken' (its keys cannot be read); a repeated call returns the same as the first
-- touches  wake suspects · conv lock sick
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
  end
  allow_writes_when_full()
  call('HSET', key('conv', name), 'awaited_ms', now_ms + within_ms)
  return give_back(name, conv, now_ms + within_ms, 'waiting')
end

return guarded(await, name) or 'broken'
