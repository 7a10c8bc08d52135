-- The sealed batch of a conversation: how it ends, and what the conversation waits for next. Needs `entry`, `history`.

local BATCH_FIELDS = { 'flush_id', 'reason', 'closed_ms', 'separator', 'sealed_name', 'sealed_peer', 'has_media',
                       'claims', 'failures', 'crashes', 'token', 'lease_until_ms', 'retry_at_ms',
                       'cancelled', 'answer' }

-- Put the next moment of a conversation without a batch into the wake index, or move it to the idle index.
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
    wake_sooner(name, at_ms)
  else
    redis.call('ZREM', key('wake'), name)
    redis.call('ZADD', key('idle'), now_ms, name)
  end
end

local function forget_batch(name, conv)
  if conv.has_media then
    drop_media(name, redis.call('LRANGE', key('batch', name), 0, -1))
  end
  redis.call('DEL', key('lock', name), key('batch', name))
  redis.call('HDEL', key('conv', name), unpack(BATCH_FIELDS))
  for _, field in ipairs(BATCH_FIELDS) do
    conv[field] = nil
  end
end

local function summary(name, conv, outcome)
  return { ref = conv.ref, flush_id = conv.flush_id, reason = conv.reason, outcome = outcome,
           messages = redis.call('LLEN', key('batch', name)), closed_ms = number(conv, 'closed_ms'),
           attempts = number(conv, 'claims') }
end

local function drop_batch(name, conv, cause)
  local entry = summary(name, conv, 'discarded')
  entry.cause = cause
  remember(entry)
  count('discarded', entry.messages)
  forget_batch(name, conv)
end

-- Discard a batch; one in flight is only marked: its worker is told and lets go. Returns how many messages are gone,
-- and whether one was in flight.
local function stop_batch(name, conv, cause)
  if not conv.flush_id then
    return 0, false
  elseif leased(conv) then
    redis.call('HSET', key('conv', name), 'cancelled', cause)
    return 0, true
  end
  local messages = redis.call('LLEN', key('batch', name))
  drop_batch(name, conv, cause)
  return messages, false
end

-- A batch that was in hand when its name turned out to be another one's has stayed with that name.
local function left_behind(conv)
  local left = {}
  for i = 1, #(conv.aliases or ''), 16 do
    local other = string.sub(conv.aliases, i, i + 15)
    local its = read_conv(other)
    left[other] = its.flush_id and its
  end
  return left
end

local function stop_batches(name, conv, cause)
  local messages, in_flight = stop_batch(name, conv, cause)
  for other, its in pairs(left_behind(conv)) do
    local more, also = stop_batch(other, its, cause)
    messages, in_flight = messages + more, in_flight or also
    if not also then
      rearm(other, its)
    end
  end
  return messages, in_flight
end

-- Keep the whole batch as a dead letter: its fields in `letter`, its messages in `remains`.
local function bury(name, conv, problem)
  local entry = summary(name, conv, 'dead')
  entry.error = problem
  redis.call('ZADD', key('dead'), now_ms, conv.flush_id)
  local letter = { 'conversation', name, 'ref', conv.ref, 'gateway', conv.gateway, 'channel', conv.channel,
                   'peer', conv.sealed_peer, 'name', conv.sealed_name, 'error', problem, 'died_ms', now_ms,
                   'messages', entry.messages }
  for _, field in ipairs({ 'flush_id', 'reason', 'closed_ms', 'separator', 'has_media', 'claims', 'answer' }) do
    if conv[field] then
      table.insert(letter, field)
      table.insert(letter, conv[field])
    end
  end
  redis.call('HSET', key('letter', conv.flush_id), unpack(letter))
  redis.call('RENAME', key('batch', name), key('remains', conv.flush_id))
  remember(entry)
  count('dead', 1)
  conv.has_media = nil
  forget_batch(name, conv)
end
