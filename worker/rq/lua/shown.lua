-- shown: return which of our jobs RQ's registries show, to the one worker that keeps them right.
--
-- KEYS[1]  the queue, <prefix>:queue:<name>; RQ works on one server, so the other keys follow from its name
-- ARGV     1 the worker's name   2 lease_ms   3 finished jobs that are kept at most   4 entries read of a registry at most
-- returns  0 if another worker has the lease; else 1 if this one had it before, 2 if not · number of jobs in the
--          scheduled registry · id, score … · ids in the failed registry …
-- touches  job:*, the queue's lease, finished index and registries
--
-- Finished jobs whose time is over, and the oldest of too many, are deleted. Only ids that our code makes are returned.

local call, try = redis.call, redis.pcall -- these scripts have no prelude

local DELETED_MAX = 1000
local name, lease_ms, finished_max, read_max = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local prefix, queue = string.match(KEYS[1], '^(.-):queue:(.*)$')
local lease, finished = KEYS[1] .. ':shown-by', KEYS[1] .. ':finished'

local function delete_finished(ids)
  for _, id in ipairs(ids) do
    call('DEL', prefix .. ':job:' .. id)
  end
  if #ids > 0 then
    call('ZREM', finished, unpack(ids))
    try('ZREM', prefix .. ':finished:' .. queue, unpack(ids))
  end
end

local function trim_finished()
  local surplus = call('ZCARD', finished) - finished_max
  if surplus == -finished_max then
    return
  end
  delete_finished(call('ZRANGEBYSCORE', finished, '-inf', call('TIME')[1], 'LIMIT', 0, DELETED_MAX))
  surplus = call('ZCARD', finished) - finished_max
  if surplus > 0 then
    delete_finished(call('ZRANGE', finished, 0, math.min(surplus, DELETED_MAX) - 1))
  end
end

local function entries(registry, pattern)
  local found, page = {}, call('ZRANGE', prefix .. ':' .. registry .. ':' .. queue, 0, read_max - 1, 'WITHSCORES')
  for i = 1, #page, 2 do
    if string.match(page[i], pattern) then
      found[#found + 1] = { page[i], page[i + 1] }
    end
  end
  return found
end

local owner = call('GET', lease)
if owner and owner ~= name then
  return { 0 }
end
call('DEL', KEYS[1] .. ':full') -- never there: a full server refuses no write after a DEL, and must drop finished jobs
call('SET', lease, name, 'PX', lease_ms)
trim_finished()
local scheduled = entries('scheduled', '^%d+%-.*%-0$')
local replies = { owner and 1 or 2, #scheduled }
for _, entry in ipairs(scheduled) do
  replies[#replies + 1], replies[#replies + 2] = entry[1], entry[2]
end
for _, entry in ipairs(entries('failed', '^dead%-')) do
  replies[#replies + 1] = entry[1]
end
return replies
