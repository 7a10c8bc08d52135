-- The aliases of a person (LID, BSUID, phone): a conversation keeps the hash of the peer under which it was created.
-- The hash of every other peer of that person is an alias of it.

-- Return the conversation of an alias, or `name` itself if it is no alias.
local function resolve(name)
  return call('HGET', key('alias'), name) or name
end

-- Replies go to the newest peer, but a phone number is never replaced by another kind of id.
local function is_phone(peer)
  return string.find(peer, '^%d+$')
end
