-- Sets aside what no script can read: a key of another type, or a malformed window. It stays as evidence under
-- `sick:<kind>:<name>`, and the conversation goes on with what is left.

-- include: entry

-- Return true for an error that says nothing about the keys: the server is full, a replica, or forbids the command.
local function is_refusal(problem)
  local text = type(problem) == 'table' and problem.err or tostring(problem)
  for _, word in ipairs({ 'OOM', 'READONLY', 'MISCONF', 'NOREPLICAS', 'MASTERDOWN', "can't run this command" }) do
    if string.find(text, word, 1, true) then
      return true
    end
  end
end

local TYPES_IN_PARTITION = { wake = 'zset', idle = 'zset', alias = 'hash', dead = 'zset', history = 'stream',
                             counters = 'hash', suspects = 'zset', hold = 'string', doubt = 'zset', channels = 'set',
                             uncounted = 'string',
                             agents = 'hash' }
local TYPES_IN_CONVERSATION = { conv = 'hash', buffer = 'list', batch = 'list', media = 'hash', redrive = 'list',
                                seen = 'string', slabs = 'hash', mark = 'hash', memory = 'string' }
local TYPES_IN_LETTER = { letter = 'hash', remains = 'list' }

local PUT_OFF_MS = 60000

-- Rename the keys that are of another type than in `types`. Return how many.
local function set_aside(types, name)
  local moved = 0
  for kind, wanted in pairs(types) do
    local found = call('TYPE', key(kind, name)).ok
    if found ~= 'none' and found ~= wanted then
      call('RENAME', key(kind, name), key('sick', name and kind .. ':' .. name or kind))
      moved = moved + 1
    end
  end
  return moved
end

-- Put the messages of a batch that nothing tells of back into the buffer.
local function unseal(name)
  local sealed = call('LRANGE', key('batch', name), 0, -1)
  for i = #sealed, 1, -1 do
    call('LPUSH', key('buffer', name), sealed[i])
  end
  call('DEL', key('batch', name))
end

-- Without its conv hash a conversation has no identity until its person writes again, and that append finds the
-- messages in the buffer. Its dead letters can be redriven again.
local function forget_redrives(name)
  for _, flush_id in ipairs(call('LRANGE', key('redrive', name), 0, -1)) do
    call('HDEL', key('letter', flush_id), 'redriven')
  end
  call('DEL', key('redrive', name), key('lock', name))
end

-- Open a window for messages that lie in the buffer without one, or with one that makes no sense. It is due now.
local function rebuild_window(name)
  local entries = call('LRANGE', key('buffer', name), 0, -1)
  if #entries == 0 then
    call('HDEL', key('conv', name), 'window')
    return
  end
  local bytes = 0
  for _, entry in ipairs(entries) do
    bytes = bytes + max(0, size_of(entry))
  end
  local opened_ms = is_readable(entries[1]) and received_of(entries[1]) or now_ms
  local last_ms = is_readable(entries[#entries]) and received_of(entries[#entries]) or now_ms
  write_window(name, { opened_ms = min(opened_ms, now_ms), deadline_ms = now_ms, bytes = bytes, depth = #entries,
                       last_ms = last_ms, window_ms = 0, why = 0, flags = 0, fired = 'quiet' })
end

-- Return true if a window has all its numbers, and moments that can be.
local function is_sound(window)
  local conv = {}
  return pcall(unpack_window, conv, window) and conv.opened_ms < now_ms + FAR_MS and conv.deadline_ms < now_ms + FAR_MS
end

local function heal_window(name)
  local window = call('HGET', key('conv', name), 'window')
  if window and is_sound(window) then
    return 0
  elseif window then
    call('SET', key('sick', 'window:' .. name), window)
  end
  rebuild_window(name)
  return window and 1 or 0
end

-- A memory of ids that is no whole number of records of 16 bytes, or lacks slabs, starts anew.
local function heal_seen(name)
  -- include: slabs_of
  local seen = call('GET', key('seen', name)) or ''
  if #seen % 16 == 0 or slabs_of(name, seen) then
    return 0
  end
  call('RENAME', key('seen', name), key('sick', 'seen:' .. name))
  if call('EXISTS', key('slabs', name)) == 1 then
    call('RENAME', key('slabs', name), key('sick', 'slabs:' .. name))
  end
  return 1
end

-- The ref follows from the keys. A hash that lacks another part of the identity is set aside as a whole: the next message
-- of its person brings all parts again.
local function heal_identity(name)
  local ref, gateway, channel, peer = unpack(call('HMGET', key('conv', name), 'ref', 'gateway', 'channel', 'peer'))
  local right_ref = string.match(root, '{p(%d+)}') .. '-' .. name
  if not (ref or gateway or channel or peer) or (gateway and channel and peer and ref == right_ref) then
    return 0
  elseif gateway and channel and peer then
    call('HSET', key('conv', name), 'ref', right_ref)
  else
    call('RENAME', key('conv', name), key('sick', 'conv:' .. name))
  end
  return 1
end

local function heal(name)
  allow_writes_when_full()
  local moved = set_aside(TYPES_IN_PARTITION) + set_aside(TYPES_IN_CONVERSATION, name) + heal_identity(name)
  local flush_id = call('HGET', key('conv', name), 'flush_id')
  if flush_id and string.find(flush_id, '[^%w_.-]') then -- no agent can be called with it: the messages get another one
    moved = moved + call('HDEL', key('conv', name), 'flush_id')
    call('HDEL', key('conv', name), 'superseded')
    flush_id = nil
  end
  if flush_id then
    moved = moved + set_aside(TYPES_IN_LETTER, flush_id)
  else
    unseal(name)
  end
  if call('HEXISTS', key('conv', name), 'ref') == 1 then
    moved = moved + heal_window(name)
  else
    forget_redrives(name)
  end
  moved = moved + heal_seen(name)
  count('sick', moved)
end

-- Keep the error of a conversation that cannot be healed, and look at it again later.
local function put_off(name, problem)
  allow_writes_when_full()
  wake_set(name, now_ms + PUT_OFF_MS)
  count('broken', 1)
  call('SET', key('sick', 'problem:' .. name), type(problem) == 'table' and problem.err or tostring(problem))
end
