-- dead_letters: return a page of the dead letters of a partition, oldest first, for people.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 offset   3 limit
-- returns  now_ms · how many dead letters there are · then nine for each of the page: flush_id · died_ms · redriven_ms
--          ('' = not redriven) · gateway · channel · peer · error · messages still there · attempts
-- touches  dead · letter remains (reads only)
--
-- A key that cannot be read stops nothing: its fields are empty.

local FIELDS = { 'redriven', 'gateway', 'channel', 'peer', 'error' }

-- include: read

local offset, limit = tonumber(ARGV[2]), tonumber(ARGV[3])
local page = limit > 0 and call('ZRANGE', key('dead'), offset, offset + limit - 1, 'WITHSCORES') or {}
local replies = { now_ms, call('ZCARD', key('dead')) }
local function add(value)
  replies[#replies + 1] = value
end
for i = 1, #page, 2 do
  local flush_id = page[i]
  local letter = key('letter', flush_id)
  add(flush_id)
  add(page[i + 1])
  for _, field in ipairs(FIELDS) do
    add(read('HGET', letter, field) or '')
  end
  add(read('LLEN', key('remains', flush_id)) or 0)
  add(read('HGET', letter, 'claims') or 0)
end
return replies
