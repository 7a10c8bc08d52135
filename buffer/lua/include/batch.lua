-- Ends the sealed batch of a conversation, and sets the wake entry for the next step. Needs `entry` and `history`.

local BATCH_FIELDS = { 'flush_id', 'reason', 'closed_ms', 'separator', 'sealed_name', 'sealed_peer', 'has_media',
                       'claims', 'failures', 'crashes', 'token', 'lease_until_ms', 'retry_at_ms',
                       'cancelled', 'answer' }

-- Set the wake entry of a conversation without a batch, or move the conversation to the idle index.
local function rearm(name, conv)
  local at_ms
  if paused(conv) then
    at_ms = number(conv, 'paused_until_ms')
  elseif conv.redrive then
    at_ms = now_ms
  elseif conv.opened_ms then
    at_ms = number(conv, 'deadline_ms')
  end
  if at_ms then
    wake_set_and_announce(name, at_ms)
  else
    call('ZREM', key('wake'), name)
    call('ZADD', key('idle'), now_ms, name)
  end
end

local function forget_batch(name, conv)
  if conv.has_media then
    drop_media(name, call('LRANGE', key('batch', name), 0, -1))
  end
  call('DEL', key('lock', name), key('batch', name))
  call('HDEL', key('conv', name), unpack(BATCH_FIELDS))
  for _, field in ipairs(BATCH_FIELDS) do
    conv[field] = nil
  end
end

local function summary(name, conv, outcome)
  return { ref = conv.ref, flush_id = conv.flush_id, reason = conv.reason, outcome = outcome,
           messages = call('LLEN', key('batch', name)), closed_ms = number(conv, 'closed_ms'),
           attempts = number(conv, 'claims') }
end

local function discard_batch(name, conv, cause)
  local entry = summary(name, conv, 'discarded')
  entry.cause = cause
  history_push(entry)
  count('discarded', entry.messages)
  forget_batch(name, conv)
end

-- Discard a batch, or mark it as cancelled if it is in flight: its worker reads the mark and releases the batch.
-- Return how many messages were discarded, and whether the batch was in flight.
local function stop_batch(name, conv, cause)
  if not conv.flush_id then
    return 0, false
  elseif leased(conv) then
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

-- Keep the batch as a dead letter: its fields in key `letter`, its messages in key `remains`.
local function make_dead_letter(name, conv, problem)
  local entry = summary(name, conv, 'dead')
  entry.error = problem
  call('ZADD', key('dead'), now_ms, conv.flush_id)
  local dead_letter = { 'conversation', name, 'ref', conv.ref, 'gateway', conv.gateway, 'channel', conv.channel,
                        'peer', conv.sealed_peer, 'name', conv.sealed_name, 'error', problem, 'died_ms', now_ms,
                        'messages', entry.messages }
  for _, field in ipairs({ 'flush_id', 'reason', 'closed_ms', 'separator', 'has_media', 'claims', 'answer' }) do
    if conv[field] then
      table.insert(dead_letter, field)
      table.insert(dead_letter, conv[field])
    end
  end
  call('HSET', key('letter', conv.flush_id), unpack(dead_letter))
  call('RENAME', key('batch', name), key('remains', conv.flush_id))
  history_push(entry)
  count('dead', 1)
  conv.has_media = nil
  forget_batch(name, conv)
end
