-- A stored message: one entry of the lists `buffer` and `batch`. Numbers are unsigned and big-endian.
--
--   offset  size  field
--        0     6  order_ms     orders the messages of a batch: the gateway's timestamp (flag TIMED), else received_ms
--        6     6  received_ms  the time of its append
--       12     1  flags        1 KEYWORD: it closes the burst · 2 MEDIA: key `media` holds its inline media · 4 TIMED
--       13     4  album        messages of one album have the same four bytes; zeros = none
--       17     8  fingerprint  of its message id
--       25     n  payload      JSON without a raw line feed
-- and after an edit:
--   25 + n     1  a line feed
--   26 + n    13  edited_ms    decimal digits
--   39 + n     …  patch        a JSON object; its fields replace those of the payload

local ENTRY_HEADER = 25
local RECEIVED_MAX = 7 * 2 ^ 40 -- the year 2213
local NO_ALBUM = '\0\0\0\0'
local KEYWORD, MEDIA, TIMED = 1, 2, 4

local function received_of(entry)
  return (struct.unpack('>I6', entry, 7))
end

-- Return false for bytes that no script has written: too short, without a payload, or received after RECEIVED_MAX.
local function is_readable(entry)
  return #entry > ENTRY_HEADER and received_of(entry) < RECEIVED_MAX
end

-- Bytes that are no entry have no flags.
local function flagged(entry, flag)
  return bit.band(byte(entry, 13) or 0, flag) ~= 0
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

-- The size of the payload and its edit, in bytes: the caps count these.
local function size_of(entry)
  return #entry - ENTRY_HEADER
end

-- The edit of a message with its line feed, or ''.
local function edit_of(entry)
  local at = string.find(entry, '\n', ENTRY_HEADER + 1, true)
  return at and string.sub(entry, at) or ''
end

-- Delete the inline media of messages that are gone.
local function drop_media(name, entries)
  for _, entry in ipairs(entries) do
    if has_media(entry) then
      call('HDEL', key('media', name), fingerprint_of(entry))
    end
  end
end

-- Move the inline media of messages that move to another conversation.
local function move_media(from, to, entries)
  for _, entry in ipairs(entries) do
    local media = has_media(entry) and call('HGET', key('media', from), fingerprint_of(entry))
    if media then
      call('HSET', key('media', to), fingerprint_of(entry), media)
      call('HDEL', key('media', from), fingerprint_of(entry))
    end
  end
end
