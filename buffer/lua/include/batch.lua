-- Ends the sealed batch of a conversation, and sets the wake entry for the next step. Needs `tally` and `history`.

local BATCH_FIELDS = { 'flush_id', 'reason', 'closed_ms', 'separator', 'sealed_name', 'sealed_peer', 'has_media',
                       'claims', 'failures', 'crashes', 'token', 'lease_until_ms', 'retry_at_ms',
                       'cancelled', 'answer', 'unreached_ms', 'answered', 'parked',
                       'awaited_ms', 'posted', 'posted_type', 'superseded', 'supersedes', 'redriven', 'new_memory' }

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

local function forget_batch_media(name, conv)
  if conv.has_media then
    -- include: entry
    drop_media(name, call('LRANGE', key('batch', name), 0, -1))
    conv.has_media = nil
  end
end

-- Other batches of the person, and the open burst, may have waited for the end of this one.
local function wake_person(name, conv)
  -- include: alias
  local kept = resolve(name)
  local behind = kept == name and conv.behind or call('HGET', key('conv', kept), 'behind') or ''
  local others = behind .. kept
  for i = 1, #others, 16 do
    local other = sub(others, i, i + 15)
    if other ~= name then
      call('ZADD', key('wake'), 'XX', 'LT', now_ms, other)
    end
  end
  wake_announce()
end

-- include: leave_suspects

-- Settle the part of a batch that may be on its way, or forget the parts. Few batches that end have any: the functions
-- for them are not made in each call.
local function deal_with_parts(name, conv, how)
  -- include: parts
  if how == 'forget' then
    forget_parts(name, conv)
  elseif conv.sending_ms then
    settle_sending(name, conv)
  end
end

local function forget_batch(name, conv)
  leave_suspects(name, conv)
  forget_batch_media(name, conv)
  if conv.parked then
    try('ZREM', key('parked', conv.parked), name)
  end
  call('DEL', key('lock', name), key('batch', name))
  call('HDEL', key('conv', name), unpack(BATCH_FIELDS))
  for _, field in ipairs(BATCH_FIELDS) do
    conv[field] = nil
  end
  if conv.next_part then
    deal_with_parts(name, conv, 'forget')
  end
  if conv.is_left or conv.behind then
    call('HDEL', key('conv', name), 'is_left')
    wake_person(name, conv)
  end
end

-- Return the record of a batch that held so many messages.
local function summary(conv, outcome, messages)
  local record = { 'ref', conv.ref or '', 'gateway', conv.gateway or '', 'channel', conv.channel or '',
                   'peer', conv.sealed_peer or '', 'flush_id', conv.flush_id or '', 'reason', conv.reason or '',
                   'outcome', outcome, 'messages', messages, 'span', conv.span or '', 'closed_ms', conv.closed_ms or '',
                   'attempts', conv.claims or '' }
  if conv.answered then
    table.insert(record, 'answered')
    table.insert(record, conv.answered)
  end
  if conv.next_part then
    -- include: summary_of_parts
  end
  return record
end

local function discard_batch(name, conv, cause)
  local messages = call('LLEN', key('batch', name))
  local record = summary(conv, 'discarded', messages)
  table.insert(record, 'cause')
  table.insert(record, cause)
  if conv.next_part then
    deal_with_parts(name, conv, 'settle')
  end
  forget_batch_media(name, conv) -- may fail: nothing is recorded then
  history_push(unpack(record))
  tally(conv, 'messages_discarded', messages)
  forget_batch(name, conv)
end

-- Keep the batch as a dead letter: its fields in key `letter`, its messages in key `remains`. A batch whose list is gone
-- has nothing to keep.
local function make_dead_letter(name, conv, problem)
  local messages = call('LLEN', key('batch', name))
  if messages == 0 and not conv.answer then
    return discard_batch(name, conv, 'lost')
  end
  local record = summary(conv, 'dead', messages)
  if conv.next_part then
    deal_with_parts(name, conv, 'settle')
  end
  table.insert(record, 'error')
  table.insert(record, problem)
  call('ZADD', key('dead'), now_ms, conv.flush_id)
  local dead_letter = { 'conversation', name, 'ref', conv.ref, 'gateway', conv.gateway, 'channel', conv.channel,
                        'peer', conv.sealed_peer, 'name', conv.sealed_name, 'error', problem, 'died_ms', now_ms,
                        'messages', messages }
  for _, field in ipairs({ 'flush_id', 'reason', 'closed_ms', 'separator', 'has_media', 'claims', 'answer', 'prints',
                           'next_part', 'last_part', 'span', 'answered', 'supersedes' }) do
    if conv[field] then
      table.insert(dead_letter, field)
      table.insert(dead_letter, conv[field])
    end
  end
  call('HSET', key('letter', conv.flush_id), unpack(dead_letter))
  if messages > 0 then
    call('RENAME', key('batch', name), key('remains', conv.flush_id))
  end
  history_push(unpack(record))
  tally(conv, 'dead_letters', 1)
  conv.has_media = nil
  forget_batch(name, conv)
end
