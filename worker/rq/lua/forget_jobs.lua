-- forget_jobs: delete jobs that ended before RQ showed them as started.
--
-- KEYS[1]  the queue, <prefix>:queue:<name>; RQ works on one server, so the other keys follow from its name
-- ARGV     1 the worker's key   2 how many of the jobs were successful   then job ids …
-- returns  nothing
-- touches  job:*, the worker and the queue's intermediate queue

local call = redis.call -- these scripts have no prelude

local prefix = string.match(KEYS[1], '^(.-):queue:')
for i = 3, #ARGV do
  call('DEL', prefix .. ':job:' .. ARGV[i])
  call('LREM', KEYS[1] .. ':intermediate', 1, ARGV[i])
end
if call('EXISTS', ARGV[1]) == 1 then
  call('HINCRBY', ARGV[1], 'successful_job_count', ARGV[2])
end
