-- Finds keys of a conversation that no script can have written: of another type, or of another form.
-- Needs `seen`.

local TYPES = { conv = 'hash', buffer = 'list', batch = 'list', seen = 'string', media = 'hash', mark = 'hash',
                redrive = 'list' }
local ENTRY_MIN = 25 -- bytes of an entry without its payload

local function is_window(window, depth)
  return #window >= WINDOW_SIZE and select(4, struct.unpack(WINDOW, window)) == depth
end

-- Return the kind of a damaged key of a conversation, or nil. Every key that any script uses is looked at.
local function damage(name)
  for kind, expected in pairs(TYPES) do
    local found = call('TYPE', key(kind, name)).ok
    if found ~= 'none' and found ~= expected then
      return kind
    end
  end
  local entries = call('LRANGE', key('buffer', name), 0, -1)
  for _, entry in ipairs(entries) do
    if #entry < ENTRY_MIN then
      return 'buffer'
    end
  end
  local window = call('HGET', key('conv', name), 'window')
  if window and not is_window(window, #entries) then
    return 'conv'
  end
  local seen = call('GET', key('seen', name)) or ''
  if #seen % SEEN_RECORD > 0 and not slabs_steps().count(name, seen) then
    return 'seen'
  end
end

local function broken_reply(name, kind)
  return redis.error_reply('BROKEN the key ' .. key(kind, name) .. ' has another type or form than any script gives it')
end
