-- One message as it lies in `buffer` and `batch`:
-- order_ms (6 bytes, unsigned) · received_ms (6) · flags (1: keyword, 2: `media` holds inline media of it, 4: order_ms is
-- the gateway's timestamp) · album (4 bytes, zeros = none) · fingerprint (8) · JSON payload · after an edit: a line feed,
-- edited_ms (13 digits) and a JSON object whose fields replace those of the payload.

local ENTRY_HEADER = 25
local NO_ALBUM = '\0\0\0\0'
local KEYWORD, MEDIA, TIMED = 1, 2, 4

local function order_of(entry)
  return (struct.unpack('>I6', entry))
end

local function received_of(entry)
  return (struct.unpack('>I6', entry, 7))
end

local function flagged(entry, flag)
  return bit.band(string.byte(entry, 13), flag) ~= 0
end

local function keyword_of(entry)
  return flagged(entry, KEYWORD)
end

local function has_media(entry)
  return flagged(entry, MEDIA)
end

local function album_of(entry)
  return string.sub(entry, 14, 17)
end

local function fingerprint_of(entry)
  return string.sub(entry, 18, 25)
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
