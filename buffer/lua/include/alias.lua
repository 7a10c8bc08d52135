-- One person, several names (LID, BSUID, phone): a conversation keeps the id of the name it was created under, and
-- other names lead to it.

local function resolve(name)
  return redis.call('HGET', key('alias'), name) or name
end

-- Replies go to the newest id seen, but a phone number is not given up for another kind of name.
local function is_phone(peer)
  return string.find(peer, '^%d+$')
end
