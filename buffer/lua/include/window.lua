-- Ends the open burst of a conversation without a flush. Needs `entry` and `record_discard`.

local function forget_window(name)
  call('DEL', key('buffer', name), key('timer', name))
  call('HDEL', key('conv', name), 'window')
end

-- Discard the open burst and record it. Return how many messages it held.
local function discard_window(name, conv, cause)
  local entries = call('LRANGE', key('buffer', name), 0, -1)
  if #entries > 0 then
    record_discard(conv, cause, #entries, conv.opened_ms)
    drop_media(name, entries)
  end
  if conv.taken_back then
    -- include: end_taken_back
  end
  forget_window(name)
  conv.opened_ms = nil
  return #entries
end
