-- The lease token fences every write after the claim (docs/invariants.md#3).
-- The token that ended a batch is kept with its outcome: a call repeated after a lost reply gets the first reply again.

-- Return the reply for a caller that must not write, or nil if it may.
local function fenced(conv, token)
  if conv.token == token then
    return nil
  end
  if conv.done_token == token then
    return conv.done_outcome
  end
  return 'lost'
end

-- Keep the outcome, and other fields of the conv hash.
local function keep_outcome(name, token, outcome, ...)
  call('HSET', key('conv', name), 'done_token', token, 'done_outcome', outcome, ...)
  return outcome
end
