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

-- Remember a part that has no id by the print of its text, within its conversation, until one echo has come.
local function remember_text(name, text_print, part)
  remember_sent(text_print, sub(name, -4), name, part)
end

local function forget_sent(tag, ...)
  for _, id in ipairs({ ... }) do
    try('HDEL', key('sent', 'new'), id .. tag)
    try('HDEL', key('sent', 'old'), id .. tag)
  end
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

-- Return the part of a conversation that was remembered by the print of its text, or nil. Forget it.
local function take_text(name, text_print)
  local _, part = find_sent(sub(name, -4), text_print)
  if part then
    forget_sent(sub(name, -4), text_print)
  end
  return part
end
