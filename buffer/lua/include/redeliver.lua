-- Serves a dead letter that was redriven: same flush_id, same messages, attempts counted from the start.
-- Needs `entry`, and these variables of claim.lua: name, conv, set.

-- Make the next redriven dead letter the batch of the conversation. Return false if none is left.
local function load_redriven()
  -- Of a dead letter with an answer only the parts are wanted: it may be without messages.
  local function is_whole(flush_id)
    local remains = call('TYPE', key('remains', flush_id)).ok
    return call('TYPE', key('letter', flush_id)).ok == 'hash'
      and (remains == 'list' or (remains == 'none' and call('HEXISTS', key('letter', flush_id), 'answer') == 1))
  end

  local flush_id = call('LPOP', key('redrive', name))
  while flush_id and not is_whole(flush_id) do
    for _, kind in ipairs({ 'letter', 'remains' }) do
      if call('EXISTS', key(kind, flush_id)) == 1 then
        call('RENAME', key(kind, flush_id), key('sick', kind .. ':' .. flush_id))
        count('sick', 1)
      end
    end
    call('ZREM', key('dead'), flush_id)
    flush_id = call('LPOP', key('redrive', name))
  end
  if call('EXISTS', key('redrive', name)) == 0 then
    call('HDEL', key('conv', name), 'redrive')
    conv.redrive = nil
  end
  if not flush_id then
    return false
  end
  local reason, closed_ms, sealed_separator, sealed_name, sealed_peer, died_under, media_flag, answer, prints, next, last,
    span, answered, supersedes =
    unpack(call('HMGET', key('letter', flush_id), 'reason', 'closed_ms', 'separator', 'name', 'peer', 'conversation',
      'has_media', 'answer', 'prints', 'next_part', 'last_part', 'span', 'answered', 'supersedes'))
  set({ flush_id = flush_id, reason = reason, closed_ms = closed_ms, separator = sealed_separator,
        sealed_name = sealed_name, sealed_peer = sealed_peer, claims = 0, failures = 0, crashes = 0, redriven = '1' })
  local has_messages = call('EXISTS', key('remains', flush_id)) == 1
  span = has_messages and span -- a part alone tells nothing of when its person spoke: what is known of that stays
  for field, value in pairs({ has_media = media_flag, answer = answer, prints = prints, next_part = next,
                              last_part = last, span = span, answered = answered, supersedes = supersedes }) do
    if value then
      set({ [field] = value })
    end
  end
  if has_messages then
    call('RENAME', key('remains', flush_id), key('batch', name))
  end
  if conv.has_media and died_under ~= name then
    move_media(died_under, name, call('LRANGE', key('batch', name), 0, -1))
  end
  call('DEL', key('letter', flush_id))
  call('ZREM', key('dead'), flush_id)
  return true
end
