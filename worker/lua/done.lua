-- done: forget jobs that were over before RQ showed them as started.
--
-- KEYS[1]  the queue (RQ works on one server, so that the other keys follow from names)
-- ARGV     1 the worker's key   2 how many of the jobs were successful   then job ids …
-- returns  nothing
-- touches  rq:job:*, the worker and the queue's intermediate queue

for i = 3, #ARGV do
  redis.call('DEL', 'rq:job:' .. ARGV[i])
  redis.call('LREM', KEYS[1] .. ':intermediate', 1, ARGV[i])
end
redis.call('HINCRBY', ARGV[1], 'successful_job_count', ARGV[2])
