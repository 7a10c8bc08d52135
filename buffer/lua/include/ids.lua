-- The message ids that came to a partition lately, each with the conversation that brought it. By them a message is
-- recognised that comes again under another name of its person. An id has 12 bytes: fingerprint (8) · tag of the
-- channel (4). Two hashes: `new` becomes `old` when it holds `ids_max` ids, so the memory is bounded. A key of another
-- type is no memory. Needs `seen` and `alias`.

-- Return a table of the conversations that brought these ids.
local function owners_of(ids)
  local owners = {}
  local older, newer = try('HMGET', key('ids', 'old'), unpack(ids)), try('HMGET', key('ids', 'new'), unpack(ids))
  for i = 1, #ids do
    owners[ids[i]] = newer[i] or older[i]
  end
  return owners
end

-- Add ids, given as id and conversation in turn. One id in 256 makes the script count them.
local function add_ids(ids, ids_max)
  try('HSET', key('ids', 'new'), unpack(ids))
  for i = 1, #ids, 2 do
    if byte(ids[i]) == 0 and (tonumber(try('HLEN', key('ids', 'new'))) or 0) >= ids_max then
      call('UNLINK', key('ids', 'old'))
      call('RENAME', key('ids', 'new'), key('ids', 'old'))
    end
  end
end

-- Return true if the message `fingerprint`, which came under `name` from `peer`, is one that `other` brought and still
-- remembers, or may remember: its memory cannot be read. Two phone numbers are two people.
local function is_twin_of(name, other, peer, fingerprint, ttl_ms)
  local own_peer, other_peer = try('HGET', key('conv', name), 'peer'), try('HGET', key('conv', other), 'peer')
  local seen = try('GET', key('seen', other))
  local phone = is_phone(peer) and peer or type(own_peer) == 'string' and is_phone(own_peer) and own_peer
  return other ~= name and type(other_peer) == 'string'
    and not (phone and is_phone(other_peer) and phone ~= other_peer)
    and (type(seen) == 'table' or seen_nonce(other, seen or '', fingerprint, ttl_ms))
end
