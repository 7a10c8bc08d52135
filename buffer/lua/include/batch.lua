-- The sealed batch of a conversation: how it ends, and what the conversation waits for next. Needs `entry`, `history`.

local BATCH_FIELDS = { 'flush_id', 'reason', 'closed_ms', 'separator', 'sealed_name', 'sealed_peer', 'has_media', 'claims', 'failures', 'crashes',
                       'token', 'lease_until_ms', 'retry_at_ms', 'cancelled', 'answer' }

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
