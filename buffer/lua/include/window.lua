-- The open burst of a conversation: forget it, or discard it with a record. Needs `entry` and `history`.

local function forget_window(name)
  redis.call('DEL', key('buffer', name), key('timer', name))
  redis.call('HDEL', key('conv', name), 'window')
end

-- Returns how many messages were discarded.
local function discard_window(name, conv, cause)
  local entries = redis.call('LRANGE', key('buffer', name), 0, -1)
  if #entries > 0 then
    remember({ ref = conv.ref, outcome = 'discarded', cause = cause, messages = #entries,
               opened_ms = number(conv, 'opened_ms') })
    count('discarded', #entries)
    drop_media(name, entries)
  end
  forget_window(name)
  conv.opened_ms = nil
  return #entries
end
