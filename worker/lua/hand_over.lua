-- hand_over: put new jobs into the queue as RQ does, then move the first of all behind those that workers hold.
--
-- KEYS[1]  the queue (RQ works on one server, so that the other keys follow from names)
-- ARGV     1 room: conversations to take; the last job may carry more   2 characters of a conversation's hash
--          3 how many of the next are fields and values that all new jobs share   fields and values …
--          then for each new job: id, description, data
-- returns  1 when RQ is suspended, else 0 · jobs left in the queue · ids of the jobs taken …
-- touches  rq:queues rq:job:*, the queue and its intermediate queue
--
-- Nothing is taken while RQ is suspended. A full server refuses the first write, and no job is lost.

local room, size, shared = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local job = { unpack(ARGV, 4, 3 + shared) }
local new, taken = {}, {}

for i = 4 + shared, #ARGV, 3 do
  if #new == 0 then
    redis.call('SADD', 'rq:queues', KEYS[1])
  end
  job[shared + 1], job[shared + 2], job[shared + 3], job[shared + 4] = 'description', ARGV[i + 1], 'data', ARGV[i + 2]
  redis.call('HSET', 'rq:job:' .. ARGV[i], unpack(job))
  new[#new + 1] = ARGV[i]
end
if #new > 0 then
  redis.call('RPUSH', KEYS[1], unpack(new))
end

local suspended = redis.call('EXISTS', 'rq:suspended')
if suspended == 0 and room > 0 then
  for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, room - 1)) do
    if room <= 0 then
      break
    end
    taken[#taken + 1] = id
    room = room - math.max(1, math.floor(#(string.match(id, '^%d+%-(.*)%-') or '') / size))
  end
end
if #taken > 0 then
  redis.call('RPUSH', KEYS[1] .. ':intermediate', unpack(taken))
  redis.call('LTRIM', KEYS[1], #taken, -1)
end
return { suspended, redis.call('LLEN', KEYS[1]), unpack(taken) }
