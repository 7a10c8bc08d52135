-- Writes one conversation as an append has changed it. No command here can fail: its keys have been checked.
-- Needs `seen`, and these variables of append.lua: TIMER, dedupe_ttl_ms.

local function write_burst(name, conv)
  if conv.more then
    call('RPUSH', conv.buffer_key, conv.entry, unpack(conv.more))
  else
    call('RPUSH', conv.buffer_key, conv.entry)
  end
  if conv.changes then
    call('HSET', conv.key, 'window', pack_window(conv), unpack(conv.changes))
  else
    call('HSET', conv.key, 'window', pack_window(conv))
  end
  local left_ms = conv.deadline_ms - now_ms
  if left_ms < 1 then
    left_ms = 1
  end
  if not conv.has_timer or call('PEXPIRE', TIMER .. name, left_ms) == 0 then
    call('PSETEX', TIMER .. name, left_ms, '')
  end
  if conv.was_idle then
    try('ZREM', key('idle'), name)
  end
  if conv.media then
    call('HSET', key('media', name), unpack(conv.media))
  end
end

local function write_conversation(name, conv, seen_rewrites)
  if conv.entry then
    write_burst(name, conv)
  end
  if conv.fresh then
    seen_add(name, conv.seen, conv.fresh, dedupe_ttl_ms, seen_rewrites)
  end
  if conv.was_revoked and call('TYPE', key('idle')).ok == 'zset' then
    call('ZADD', key('idle'), 'XX', now_ms, name)
  end
  if conv.used_changes then
    call('HDEL', key('mark', name), unpack(conv.used_changes))
  end
end
