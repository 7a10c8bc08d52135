-- Tells what a conversation waits for, for people. A key that cannot be read stops nothing. Needs `read`.

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
