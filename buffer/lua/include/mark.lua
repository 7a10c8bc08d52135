-- What came before its original (a revoke or an edit that overtook it) is marked until the original comes.

-- Keep a mark under a message's fingerprint; the conversation may be new, and is remembered from now on.
local function keep_mark(name, conv, fingerprint, mark, identity)
  if not conv.ref then
    redis.call('HSET', key('conv', name), 'ref', identity.partition .. '-' .. name, 'gateway', identity.gateway,
      'channel', identity.channel, 'peer', identity.peer)
  end
  redis.call('ZADD', key('idle'), conv.ref and 'XX' or 'NX', now_ms, name)
  redis.call('HSET', key('conv', name), 'marks', '1')
  redis.call('HSET', key('mark', name), fingerprint, mark)
end

-- Place and entry of a message in the open burst, or nil.
local function find_entry(name, fingerprint)
  for place, entry in ipairs(redis.call('LRANGE', key('buffer', name), 0, -1)) do
    if fingerprint_of(entry) == fingerprint then
      return place - 1, entry
    end
  end
end
