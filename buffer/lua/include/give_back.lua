-- Gives a lease back: the conversation comes back at a moment that stands in the wake index. Needs `fence`.

-- Return what the caller gets, now and if it calls again.
local function give_back(name, conv, at_ms, outcome)
  -- include: leave_suspects
  local token = conv.token
  wake_set_and_announce(name, at_ms)
  call('HSET', key('conv', name), 'retry_at_ms', at_ms)
  call('HDEL', key('conv', name), 'token')
  call('DEL', key('lock', name))
  leave_suspects(name, conv)
  return keep_outcome(name, token, outcome)
end
