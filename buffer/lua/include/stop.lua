-- Stops the batches of a conversation: one in flight is cancelled, one that waits is discarded. Needs `batch` and `entry`.

-- Discard a batch, or mark it as cancelled if it is in flight: its worker reads the mark and releases the batch.
-- Return how many messages were discarded, and whether the batch was in flight.
local function stop_batch(name, conv, cause)
  if not conv.flush_id then
    return 0, false
  end
  if conv.superseded then
    -- include: keep_batch
  end
  if leased(conv) then
    call('HSET', key('conv', name), 'cancelled', cause)
    return 0, true
  end
  local messages = call('LLEN', key('batch', name))
  discard_batch(name, conv, cause)
  return messages, false
end

-- Return the aliases that still hold a batch, with their conv. A batch that was in flight when its conversation was
-- merged into another one has stayed under its old hash.
local function aliases_with_batch(conv)
  local found = {}
  for i = 1, #(conv.aliases or ''), 16 do
    local alias = string.sub(conv.aliases, i, i + 15)
    local alias_conv = read_conv(alias)
    found[alias] = alias_conv.flush_id and alias_conv
  end
  return found
end

-- Stop the batch of a conversation and those of its aliases. Return the same as stop_batch.
local function stop_batches(name, conv, cause)
  local messages, in_flight = stop_batch(name, conv, cause)
  for alias, alias_conv in pairs(aliases_with_batch(conv)) do
    local more, also = stop_batch(alias, alias_conv, cause)
    messages, in_flight = messages + more, in_flight or also
    if not also then
      rearm(alias, alias_conv)
    end
  end
  return messages, in_flight
end
