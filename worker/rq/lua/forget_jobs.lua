-- forget_jobs: delete jobs that were over before RQ showed them as started.
--
-- KEYS[1]  the queue, <prefix>:queue:<name>; RQ works on one server, so the other keys follow from its name
-- ARGV     1 the worker's key   2 how many of the jobs were successful   then job ids …
-- returns  nothing
-- touches  job:*, the worker and the queue's intermediate queue

local prefix = string.match(KEYS[1], '^(.-):queue:')
for i = 3, #ARGV do
  redis.call('DEL', prefix .. ':job:' .. ARGV[i])
  redis.call('LREM', KEYS[1] .. ':intermediate', 1, ARGV[i])
end
if redis.call('EXISTS', ARGV[1]) == 1 then
  redis.call('HINCRBY', ARGV[1], 'successful_job_count', ARGV[2])
end
