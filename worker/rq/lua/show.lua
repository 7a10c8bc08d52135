-- show: change what RQ's registries show: remove jobs, then write jobs.
--
-- KEYS[1]  the queue, <prefix>:queue:<name>; RQ works on one server, so the other keys follow from its name
-- ARGV     1 the worker's name   2 jobs to remove
--          3 how many of the next are fields and values that all written jobs share   fields and values …
--          then for each job to remove: registry, id
--          then for each job to write: registry, id, score, created_at, ended_at or '', description, data, reason or ''
--          The registry is 'scheduled' or 'failed'. The reason is packed as RQ packs it
-- returns  nothing
-- touches  queues job:* results:*, the queue's lease (reads), registries and finished index
--
-- Nothing is changed without the lease of shown.lua. An erase deletes it: what the worker has read may be of the person.
-- A job that has left its registry is not written: it was moved to the queue, by RQ's scheduler or by a person. Once it is
-- finished, the next burst of the conversation may take its id.

local call = redis.call -- these scripts have no prelude

local FAILED = '2' -- in RQ's results
local name, removed, shared = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local fields = { unpack(ARGV, 4, 3 + shared) }
local prefix, queue = string.match(KEYS[1], '^(.-):queue:(.*)$')

local function registry_key(registry)
  return prefix .. ':' .. registry .. ':' .. queue
end

local function remove(registry, id)
  if call('ZREM', registry_key(registry), id) == 1 then
    call('DEL', prefix .. ':job:' .. id, prefix .. ':results:' .. id)
  end
end

local function write(registry, id, score, created_at, ended_at, description, data, reason)
  local job, results = prefix .. ':job:' .. id, prefix .. ':results:' .. id
  local status = call('HGET', job, 'status')
  if status == 'finished' then
    call('ZREM', registry_key('finished'), id)
    call('ZREM', KEYS[1] .. ':finished', id)
  elseif status and status ~= registry then
    return
  end
  call('DEL', job, results)
  call('HSET', job, 'status', registry, 'created_at', created_at, 'description', description, 'data', data, unpack(fields))
  if reason ~= '' then
    call('HSET', job, 'ended_at', ended_at)
    call('XADD', results, '*', 'type', FAILED, 'worker_name', '', 'exc_string', reason)
  end
  call('ZADD', registry_key(registry), score, id)
  call('SADD', prefix .. ':queues', KEYS[1])
end

if call('GET', KEYS[1] .. ':shown-by') ~= name then
  return
end
local at = 4 + shared
for i = at, at + 2 * removed - 1, 2 do
  remove(ARGV[i], ARGV[i + 1])
end
for i = at + 2 * removed, #ARGV, 8 do
  write(unpack(ARGV, i, i + 7))
end
