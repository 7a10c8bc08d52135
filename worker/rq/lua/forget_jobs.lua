-- forget_jobs: end jobs without failure: delete them, or keep some as finished for a while.
--
-- KEYS[1]  the queue, <prefix>:queue:<name>; RQ works on one server, so the other keys follow from its name
-- ARGV     1 the worker's key   2 how many of the jobs were successful   3 when they ended, in RQ's notation
--          4 until when finished jobs are shown, in seconds   5 how many of the next are kept as finished
--          then for each kept job: id, description or '' (as it is)
--          then the ids of the others …
-- returns  nothing
-- touches  job:* results:*, the worker, the queue's intermediate queue, its finished registry and finished index
--
-- A kept job has no TTL of its own, because volatile keys delay expiry events. shown.lua deletes it by the index.

local call = redis.call -- these scripts have no prelude

local prefix, queue = string.match(KEYS[1], '^(.-):queue:(.*)$')
local worker, successful, ended_at, until_s, kept = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])

local function keep(id, description)
  local job = prefix .. ':job:' .. id
  if call('EXISTS', job) == 1 then
    call('HSET', job, 'status', 'finished', 'ended_at', ended_at)
    if description ~= '' then
      call('HSET', job, 'description', description)
    end
    call('PERSIST', job)
    call('ZADD', KEYS[1] .. ':finished', until_s, id)
    call('ZADD', prefix .. ':finished:' .. queue, until_s, id)
  end
end

local function leave_intermediate(id)
  call('LREM', KEYS[1] .. ':intermediate', 1, id)
end

call('DEL', KEYS[1] .. ':full') -- never there: a full server refuses no write after a DEL, and jobs that end free memory
local others = 6 + 2 * kept
for i = 6, others - 1, 2 do
  keep(ARGV[i], ARGV[i + 1])
  leave_intermediate(ARGV[i])
end
for i = others, #ARGV do
  call('DEL', prefix .. ':job:' .. ARGV[i], prefix .. ':results:' .. ARGV[i])
  leave_intermediate(ARGV[i])
end
if call('EXISTS', worker) == 1 then
  call('HINCRBY', worker, 'successful_job_count', successful)
end
