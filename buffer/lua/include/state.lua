-- Tells what a conversation waits for, for people. A key that cannot be read stops nothing. Needs `read`.

-- Return the conv of a conversation, or nil if its key cannot be read.
local function read_safely(name)
  local flat = read('HGETALL', key('conv', name))
  if not flat then
    return nil
  end
  local conv = {}
  for i = 1, #flat, 2 do
    conv[flat[i]] = flat[i + 1]
  end
  if conv.window and #conv.window >= WINDOW_SIZE then
    unpack_window(conv, conv.window)
  end
  return conv
end

local function redriven_ms(name)
  local flush_id = read('LINDEX', key('redrive', name), 0)
  return flush_id and tonumber(read('HGET', key('letter', flush_id), 'redriven') or nil)
end

local function state_of(name, conv, wake_ms)
  if leased(conv) then
    return 'in_flight', number(conv, 'lease_until_ms')
  elseif conv.awaited_ms and not conv.posted and is_ahead(number(conv, 'awaited_ms')) then
    return 'in_flight', number(conv, 'awaited_ms')
  elseif paused(conv) then
    return 'paused', number(conv, 'paused_until_ms')
  elseif conv.flush_id then
    return conv.next_part and 'replying' or 'retry', tonumber(conv.retry_at_ms) or tonumber(conv.lease_until_ms) or wake_ms
  elseif conv.redrive then
    return 'redriven', redriven_ms(name) or wake_ms
  end
  return 'open', conv.deadline_ms or wake_ms
end
