-- One message as it lies in `buffer` and `batch`:
-- order_ms (13 digits) · received_ms (13 digits) · 'k' for a keyword or '-' · 'm' when `media` holds inline media of it
-- or '-' · album (4 bytes, zeros = none) · fingerprint (8 bytes) · JSON payload · after an edit: a line feed,
-- edited_ms (13 digits) and a JSON object whose fields replace those of the payload.

local ENTRY_HEADER = 40
local NO_ALBUM = '\0\0\0\0'

local function pack_entry(message, received_ms, payload)
  return string.format('%013d%013d', message.order_ms or received_ms, received_ms) .. (message.keyword and 'k' or '-')
    .. (message.media ~= '' and 'm' or '-') .. message.album .. message.fingerprint .. payload
end

local function order_of(entry)
  return tonumber(string.sub(entry, 1, 13))
end

local function received_of(entry)
  return tonumber(string.sub(entry, 14, 26))
end

local function keyword_of(entry)
  return string.sub(entry, 27, 27) == 'k'
end

local function has_media(entry)
  return string.sub(entry, 28, 28) == 'm'
end

local function album_of(entry)
  return string.sub(entry, 29, 32)
end

local function fingerprint_of(entry)
  return string.sub(entry, 33, 40)
end

local function size_of(entry)
  return #entry - ENTRY_HEADER
end

-- The edit of a message, or ''; JSON holds no raw line feed.
local function edit_of(entry)
  local at = string.find(entry, '\n', ENTRY_HEADER + 1, true)
  return at and string.sub(entry, at) or ''
end

-- Inline media lies beside the buffer, by fingerprint: this is for messages that are gone.
local function drop_media(name, entries)
  for _, entry in ipairs(entries) do
    if has_media(entry) then
      redis.call('HDEL', key('media', name), fingerprint_of(entry))
    end
  end
end

-- And this for messages that another conversation has now.
local function move_media(from, to, entries)
  for _, entry in ipairs(entries) do
    local media = has_media(entry) and redis.call('HGET', key('media', from), fingerprint_of(entry))
    if media then
      redis.call('HSET', key('media', to), fingerprint_of(entry), media)
      redis.call('HDEL', key('media', from), fingerprint_of(entry))
    end
  end
end
