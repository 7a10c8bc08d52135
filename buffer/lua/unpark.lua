-- unpark: make due the batches that wait for an agent whose calls were held, the oldest first.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 tag of the agent   3 how many batches
-- returns  how many were looked at: fewer than asked for if no others wait
-- touches  wake parked · conv
--
-- A conversation gets its place in the wake index by the age of its batch. The dispatchers take the oldest first, and no
-- more than the workers have room for.

local tag, limit = ARGV[2], tonumber(ARGV[3])
local found = try('ZRANGE', key('parked', tag), 0, limit - 1, 'WITHSCORES')
if is_set_aside(found, 'parked:' .. tag) or found.err then
  return 0
end
local waiting = {}
for i = 1, #found, 2 do
  local fields = try('HMGET', key('conv', found[i]), 'flush_id', 'token')
  if not fields.err and fields[1] and not fields[2] then
    waiting[#waiting + 1] = { name = found[i], at_ms = min(now_ms, tonumber(found[i + 1])) }
  end
end
allow_writes_when_full()
for _, one in ipairs(waiting) do
  wake_set(one.name, one.at_ms)
  call('HSET', key('conv', one.name), 'retry_at_ms', one.at_ms)
end
if #found > 0 then
  call('ZREMRANGEBYRANK', key('parked', tag), 0, #found / 2 - 1)
  wake_announce()
end
return #found / 2
