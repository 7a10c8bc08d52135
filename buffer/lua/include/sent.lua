-- The ids under which parts are known at their gateway, for the latest ones: <id's fingerprint, 8 bytes><tag of the channel>
-- -> <conversation, 16 bytes><flush_id>.<part>. Two hashes, as in include/ids.lua. A key of another type is no memory.

local SENT_MAX = 20000 -- ids in each of the two: together up to 8 MB

local function remember_sent(id, tag, name, part)
  if id == '' then
    return
  end
  try('HSET', key('sent', 'new'), id .. tag, name .. part)
  if byte(id) == 0 and (tonumber(try('HLEN', key('sent', 'new'))) or 0) >= SENT_MAX then
    call('UNLINK', key('sent', 'old'))
    call('RENAME', key('sent', 'new'), key('sent', 'old'))
  end
end

local function forget_sent(tag, ...)
  for _, id in ipairs({ ... }) do
    try('HDEL', key('sent', 'new'), id .. tag)
    try('HDEL', key('sent', 'old'), id .. tag)
  end
end

-- A part to which its gateway gave no id is remembered by the print of its text, within its conversation.
local function text_tag(name)
  return sub(name, -4)
end

-- Return the conversation and the part that one of the ids belongs to, or nil.
local function find_sent(tag, ...)
  for _, id in ipairs({ ... }) do
    for _, generation in ipairs(id ~= '' and { 'new', 'old' } or {}) do
      local found = try('HGET', key('sent', generation), id .. tag)
      if type(found) == 'string' then
        return sub(found, 1, 16), sub(found, 17)
      end
    end
  end
end
