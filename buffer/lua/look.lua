-- look: return what a conversation holds and waits for, for people.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 conversation hash   3 limit: how many messages are shown of the burst and of the batch
--          4 max_wait_ms, unless the burst carries rules of its route
-- returns  nothing if it is unknown; else { now_ms, state, due_ms (0 = none), messages of the burst, messages of the
--          batch, { field, value … }, { message of the burst … }, { message of the batch … } }. The states are those of
--          pending.lua, or idle
-- touches  wake alias · conv buffer batch redrive letter (reads only)
--
-- An alias leads to its conversation, unless a batch has stayed under it. A key that cannot be read stops nothing.

local FIELDS = { 'ref', 'gateway', 'channel', 'peer', 'name', 'opened_ms', 'deadline_ms', 'fired', 'flush_id', 'reason',
                 'closed_ms', 'claims', 'next_part', 'paused_until_ms', 'pause_mode' }
local PRINT_SIZE = 8 -- bytes; include/parts.lua has the layout

-- include: alias
-- include: read
-- include: state

-- Return the conv of a conversation, or nil if its key cannot be read.
local function read_safely(name)
  local flat = read('HGETALL', key('conv', name))
  if not flat then
    return nil
  end
  local conv = {}
  for i = 1, #flat, 2 do
    conv[flat[i]] = flat[i + 1]
  end
  if conv.window and #conv.window >= WINDOW_SIZE then
    unpack_window(conv, conv.window)
  end
  return conv
end

local name, limit, max_wait_ms = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
if call('EXISTS', key('conv', name)) == 0 then
  name = resolve(name)
end
local conv = read_safely(name)
if conv and not conv.ref then
  return {}
end

local function is_idle()
  return not (conv.flush_id or conv.redrive or conv.opened_ms or paused(conv) or leased(conv))
end

-- Return the fields of the conversation as { field, value … }.
local function fields_of()
  local fields = {}
  local function add(field, value)
    if value then
      fields[#fields + 1] = field
      fields[#fields + 1] = value
    end
  end
  for _, field in ipairs(FIELDS) do
    add(field, conv[field])
  end
  if conv.opened_ms then
    add('cap_ms', conv.opened_ms + (conv.rules and struct.unpack('>I6', conv.rules, 2) or max_wait_ms))
  end
  add('parts', conv.prints and #conv.prints / PRINT_SIZE)
  return fields
end

local function shown(kind)
  return read('LRANGE', key(kind, name), 0, limit - 1) or {}
end

local wake_ms = tonumber(read('ZSCORE', key('wake'), name)) or 0
local state, due_ms = 'broken', wake_ms
if conv then
  state, due_ms = state_of(name, conv, wake_ms)
  if is_idle() then
    state, due_ms = 'idle', 0
  end
else
  conv = {}
end
return { now_ms, state, due_ms, read('LLEN', key('buffer', name)) or 0, read('LLEN', key('batch', name)) or 0,
         fields_of(), shown('buffer'), shown('batch') }
