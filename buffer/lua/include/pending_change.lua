-- An edit or revoke finds its message in the open burst, or is kept as a pending change until the message comes.
-- Needs `entry`.

-- Keep a pending change under the fingerprint of its message, in a new conversation if there is none yet. The idle
-- index holds it then, so that sweep forgets a change whose message never comes.
local function keep_pending_change(name, conv, fingerprint, pending_change, identity)
  if not conv.ref then
    call('HSET', key('conv', name), 'ref', identity.partition .. '-' .. name, 'gateway', identity.gateway,
      'channel', identity.channel, 'peer', identity.peer)
  end
  call('ZADD', key('idle'), conv.ref and 'XX' or 'NX', now_ms, name)
  call('HSET', key('conv', name), 'marks', '1')
  call('HSET', key('mark', name), fingerprint, pending_change)
end

-- Return true if the batch of a message was taken back: its messages are on their way to the open burst, and a change is
-- kept until they are there (include/rejoin.lua).
local function goes_back(name, conv, fingerprint)
  if conv.superseded and not conv.cancelled then
    for _, entry in ipairs(call('LRANGE', key('batch', name), 0, -1)) do
      if fingerprint_of(entry) == fingerprint then
        return true
      end
    end
  end
  return false
end

-- Return the list index and the entry of a message in the open burst, or nothing.
local function find_entry(name, fingerprint)
  for place, entry in ipairs(call('LRANGE', key('buffer', name), 0, -1)) do
    if fingerprint_of(entry) == fingerprint then
      return place - 1, entry
    end
  end
end
