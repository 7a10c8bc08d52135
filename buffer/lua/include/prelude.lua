-- Stands before every script: the keys of the partition, the clock, the open burst, the wake index.
-- KEYS[1] is the partition's root. ARGV[1] is the time in ms, or '' for the server's clock (docs/invariants.md#9).

local root = KEYS[1]
local call, try, sub, byte, min, max = redis.call, redis.pcall, string.sub, string.byte, math.min, math.max

local function key(kind, name)
  if name then
    return root .. kind .. ':' .. name
  end
  return root .. kind
end

local function clock()
  local given = tonumber(ARGV[1])
  if given then
    return given
  end
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local now_ms = clock()

-- Delete a key that never exists. A full server refuses a script's first write if it uses memory, but no write after
-- another one. Scripts that drain the buffer call this before they write.
local writes_allowed = false
local function allow_writes_when_full()
  if not writes_allowed then
    call('DEL', root .. 'full')
    writes_allowed = true
  end
end

-- The open burst is the field `window` of the conv hash. One field, because append reads and writes it in every call:
-- opened_ms (6 bytes, unsigned) · deadline_ms (6) · bytes (4) · depth (4) · last_ms, the receipt of its last message (6) ·
-- window_ms, the quiet time that its last message began (4) · why it is that (1) · flags (1) · the reason why it has
-- fired, or nothing · the rules of the route (a zero byte, then include/rules.lua has the layout), or nothing.
-- Why: 0 unknown · 1 fixed · 2 first: its first message has a window of its own · 3 typing: the shorter one of a person
-- whose typing is seen · of `auto`: 4 start: too little is known · 5 channel · 6 contact · 7 explore: the longest, so that
-- long gaps are seen too · 8 broken: nothing can be read (buffer/windows.py has the same numbers).
-- Flags: 1 its turn was cut before · 2 held: a typing event has moved the deadline · 4 it holds messages of a batch that
-- was taken back · 8 let go: the person has stopped typing since.
local WINDOW, WINDOW_SIZE, WINDOW_MAX_MS = '>I6I6I4I4I6I4BB', 32, 2 ^ 32 - 1

-- Bytes of the field `span` at rest, after an ack; include/seal.lua has its layouts.
local ACKED_SPAN = 13

local function unpack_window(conv, window)
  local at
  conv.opened_ms, conv.deadline_ms, conv.bytes, conv.depth, conv.last_ms, conv.window_ms, conv.why, conv.flags, at =
    struct.unpack(WINDOW, window)
  if at <= #window then
    local rules_at = string.find(window, '\0', at, true) or #window + 1
    conv.fired = rules_at > at and sub(window, at, rules_at - 1) or nil
    conv.rules = rules_at <= #window and sub(window, rules_at) or nil
  end
end

local function pack_window(conv)
  return struct.pack(WINDOW, conv.opened_ms, conv.deadline_ms, conv.bytes, conv.depth, conv.last_ms, conv.window_ms,
    conv.why, conv.flags or 0) .. (conv.fired or '') .. (conv.rules or '')
end

local function write_window(name, conv)
  call('HSET', key('conv', name), 'window', pack_window(conv))
end

local function read_conv(name)
  local flat = call('HGETALL', key('conv', name))
  local conv = {}
  for i = 1, #flat, 2 do
    conv[flat[i]] = flat[i + 1]
  end
  if conv.window then
    unpack_window(conv, conv.window)
    conv.window = nil
  end
  return conv
end

local function number(conv, field)
  return tonumber(conv[field]) or 0
end

local function wake_set(name, at_ms)
  call('ZADD', key('wake'), at_ms, name)
end

local function wake_first_ms()
  return tonumber(call('ZRANGE', key('wake'), 0, 0, 'WITHSCORES')[2]) or math.huge
end

-- Wake the dispatchers: they may sleep until a later moment. The channel has the name of the index.
local function wake_announce()
  call('PUBLISH', key('wake'), '')
end

-- Set a wake entry, and announce it if it is earlier than all others.
local function wake_set_and_announce(name, at_ms)
  local before_ms = wake_first_ms()
  wake_set(name, at_ms)
  if at_ms < before_ms then
    wake_announce()
  end
end

-- No script writes a moment that is ten years ahead: it is garbage.
local FAR_MS = 3650 * 86400000

-- Return true if `at_ms` is yet to come.
local function is_ahead(at_ms)
  return at_ms > now_ms and at_ms < now_ms + FAR_MS
end

local function paused(conv)
  return conv.paused_until_ms and is_ahead(number(conv, 'paused_until_ms'))
end

local function leased(conv)
  return conv.token and is_ahead(number(conv, 'lease_until_ms'))
end

-- Set aside a partition's key of another type, as evidence. Return true if it was one.
local function is_set_aside(reply, kind)
  if type(reply) == 'table' and reply.err and string.find(reply.err, 'WRONGTYPE', 1, true) then
    try('RENAME', key(kind), key('sick', kind))
    return true
  end
end

-- Count what belongs to no channel; include/tally.lua counts for channels. Counters of another type stop no script: a
-- total is worth less than what it counts.
local function count(total, amount)
  if amount ~= 0 and is_set_aside(try('HINCRBY', key('counters'), total, amount), 'counters') then
    try('HINCRBY', key('counters'), total, amount)
  end
end
