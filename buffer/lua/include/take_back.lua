-- The batch was superseded while its worker was at it: take it back, and tell the worker, now and if it calls again.
-- Needs `rejoin` and `fence`.

local function take_back(name, conv)
  local token = conv.token
  rejoin(name, conv)
  return keep_outcome(name, token, 'superseded')
end
