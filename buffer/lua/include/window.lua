-- The open burst of a conversation: forget it, or discard it with a record.

local function forget_window(name)
  redis.call('DEL', key('buffer', name), key('timer', name))
  redis.call('HDEL', key('conv', name), 'opened_ms', 'deadline_ms', 'bytes', 'fired')
end

-- Returns how many messages were discarded.
local function discard_window(name, conv, cause)
  local messages = redis.call('LLEN', key('buffer', name))
  if messages > 0 then
    remember({ ref = conv.ref, outcome = 'discarded', cause = cause, messages = messages,
               opened_ms = number(conv, 'opened_ms') })
    count('discarded', messages)
  end
  forget_window(name)
  conv.opened_ms = nil
  return messages
end
