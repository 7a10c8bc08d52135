-- Every write after the claim is fenced by the lease token (invariant 3).
-- A token that ended its batch is kept, so that a call repeated after a lost reply answers as the first time.

-- Returns the answer for a caller that may not write, or nil when it may.
local function fenced(conv, token)
  if conv.token == token then
    return nil
  end
  if conv.done_token == token then
    return conv.done_outcome
  end
  return 'lost'
end

local function done(name, token, outcome)
  redis.call('HSET', key('conv', name), 'done_token', token, 'done_outcome', outcome)
  return outcome
end
