-- dispatch: return the conversations that are due, oldest first, and hide them for the visibility time.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 limit   3 visibility_ms
-- returns  now_ms · next_ms of the wake index ('' = empty) · number of the first dispatch · conversation hashes …
-- touches  wake counters
--
-- No entry is removed from the index: the worker that gets a conversation may die (docs/invariants.md#1).

-- Count these dispatches. Return how many there have been. Counters that cannot be read begin anew: no flush may wait for
-- a total.
local function count_dispatches(amount)
  local total = try('HINCRBY', key('counters'), 'dispatches', amount)
  if type(total) == 'table' then
    if not is_set_aside(total, 'counters') then
      call('HDEL', key('counters'), 'dispatches')
    end
    total = call('HINCRBY', key('counters'), 'dispatches', amount)
  end
  return total
end

local limit, visibility_ms = tonumber(ARGV[2]), tonumber(ARGV[3])
local due = call('ZRANGEBYSCORE', key('wake'), '-inf', now_ms, 'LIMIT', 0, limit)
local last = 0
if #due > 0 then
  allow_writes_when_full()
  local later = {}
  for i, name in ipairs(due) do
    later[2 * i - 1], later[2 * i] = now_ms + visibility_ms, name
  end
  call('ZADD', key('wake'), unpack(later))
  last = count_dispatches(#due)
end
local first = call('ZRANGE', key('wake'), 0, 0, 'WITHSCORES')
return { now_ms, first[2] or '', last - #due + 1, unpack(due) }
