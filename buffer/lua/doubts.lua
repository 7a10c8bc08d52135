-- doubts: return a page of the parts in doubt of a partition, oldest first, for people.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 offset   3 limit
-- returns  now_ms · how many parts are in doubt · then eight for each of the page: <flush_id>.<part> · since_ms ·
--          gateway · channel · peer · reason · number of the part · the answer that holds it
-- touches  doubt · doubted (reads only)
--
-- A key that cannot be read stops nothing: its fields are empty.

local FIELDS = { 'gateway', 'channel', 'peer', 'reason', 'number', 'answer' }

-- include: read

local offset, limit = tonumber(ARGV[2]), tonumber(ARGV[3])
local page = limit > 0 and call('ZRANGE', key('doubt'), offset, offset + limit - 1, 'WITHSCORES') or {}
local replies = { now_ms, call('ZCARD', key('doubt')) }
for i = 1, #page, 2 do
  replies[#replies + 1] = page[i]
  replies[#replies + 1] = page[i + 1]
  for _, field in ipairs(FIELDS) do
    replies[#replies + 1] = read('HGET', key('doubted', page[i]), field) or ''
  end
end
return replies
