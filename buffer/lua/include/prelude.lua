-- Stands before every script: the partition's keys, the clock, the wake index.
-- KEYS[1] is the partition's root; ARGV[1] the time in ms, or '' for the server's clock (invariant 9).

local root = KEYS[1]

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
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local now_ms = clock()

-- A full server refuses the first memory-using write of a script, but not those behind another write.
-- What drains the buffer must go on then, so it starts with this.
local function go_on_when_full()
  redis.call('DEL', root .. 'full')
end

local function read_conv(name)
  local flat = redis.call('HGETALL', key('conv', name))
  local conv = {}
  for i = 1, #flat, 2 do
    conv[flat[i]] = flat[i + 1]
  end
  return conv
end

local function number(conv, field)
  return tonumber(conv[field]) or 0
end

local function wake(name, at_ms)
  redis.call('ZADD', key('wake'), at_ms, name)
end

local function earliest()
  return tonumber(redis.call('ZRANGE', key('wake'), 0, 0, 'WITHSCORES')[2]) or math.huge
end

-- A dispatcher may sleep until a later moment than this one: tell it (the channel is named like the index).
local function announce()
  redis.call('PUBLISH', key('wake'), '')
end

local function wake_sooner(name, at_ms)
  local before_ms = earliest()
  wake(name, at_ms)
  if at_ms < before_ms then
    announce()
  end
end

local function paused(conv)
  return number(conv, 'paused_until_ms') > now_ms
end

local function leased(conv)
  return conv.token and number(conv, 'lease_until_ms') > now_ms
end

local function count(total, amount)
  if amount ~= 0 then
    redis.call('HINCRBY', key('counters'), total, amount)
  end
end
