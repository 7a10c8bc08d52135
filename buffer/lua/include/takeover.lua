-- Pauses and resumes a conversation. Needs `alias`, `entry`, `history`, `window`, `batch` and `stop`.

-- Pause a conversation that is known until a given moment. In the mode `takeover` a human answers: what it holds is
-- discarded, with a record (docs/invariants.md#15).
local function pause_conversation(name, conv, until_ms, mode)
  if conv.flush_id and leased(conv) then
    call('ZADD', key('wake'), 'NX', now_ms, name)
  else
    wake_set(name, until_ms)
  end
  call('HSET', key('conv', name), 'paused_until_ms', until_ms, 'pause_mode', mode)
  call('ZREM', key('idle'), name)
  if mode == 'takeover' then
    discard_window(name, conv, 'takeover')
    stop_batches(name, conv, 'takeover')
  end
  return until_ms
end

-- Make a conversation known that has not written yet.
local function introduce(name, conv, partition, gateway, channel, peer)
  if not conv.ref then
    conv.ref, conv.gateway, conv.channel, conv.peer = partition .. '-' .. name, gateway, channel, peer
    call('HSET', key('conv', name), 'ref', conv.ref, 'gateway', gateway, 'channel', channel, 'peer', peer)
  end
end

-- End a pause. What was held is delivered at its deadline, or at once when that is over. Return true if it was paused.
local function resume_conversation(name, conv)
  if not conv.paused_until_ms then
    return false
  end
  allow_writes_when_full()
  conv.paused_until_ms = nil

  local function wake_batch(holder, holder_conv)
    if not leased(holder_conv) then
      wake_set_and_announce(holder, max(now_ms, number(holder_conv, 'retry_at_ms')))
    end
  end

  if conv.flush_id then
    wake_batch(name, conv)
  else
    rearm(name, conv)
  end
  for alias, alias_conv in pairs(aliases_with_batch(conv)) do
    wake_batch(alias, alias_conv)
  end
  call('HDEL', key('conv', name), 'paused_until_ms', 'pause_mode')
  return true
end
