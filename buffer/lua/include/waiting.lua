-- Reads what tells what a conversation waits for (include/state.lua), and whose it is. Needs `read`.

local FIELDS = { 'window', 'flush_id', 'token', 'lease_until_ms', 'paused_until_ms', 'retry_at_ms', 'next_part', 'redrive',
                 'awaited_ms', 'posted', 'gateway', 'channel', 'peer' }

-- Return these fields of a conv, or nil if its key cannot be read. An answer that it may hold is not read.
local function read_fields(name)
  local values = read('HMGET', key('conv', name), unpack(FIELDS))
  if not values then
    return nil
  end
  local conv = {}
  for i, field in ipairs(FIELDS) do
    conv[field] = values[i] or nil
  end
  if conv.window and #conv.window >= WINDOW_SIZE then
    unpack_window(conv, conv.window)
  end
  return conv
end
