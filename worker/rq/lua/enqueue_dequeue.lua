-- enqueue_dequeue: append new jobs to the queue as RQ does, then move the first jobs to the intermediate queue.
--
-- KEYS[1]  the queue, <prefix>:queue:<name>; RQ works on one server, so the other keys follow from its name
-- ARGV     1 room: conversations to take; the last job may carry more   2 characters of a conversation's hash
--          3 how many of the next are fields and values that all new jobs share   fields and values …
--          then for each new job: id, description, data
-- returns  1 when RQ is suspended, else 0 · jobs left in the queue · ids of the jobs taken …
-- touches  queues job:*, the queue, its intermediate queue and its scheduled registry
--
-- A new job takes the place of the jobs that show its conversations as pending, and one of a single conversation gets the
-- description of that job. No job is taken while RQ is suspended. A full server refuses the script's first write if it
-- uses memory: a call with new jobs fails as a whole. Without new jobs the first write is LTRIM, which frees memory, so
-- the queue still drains.

local call, try = redis.call, redis.pcall -- these scripts have no prelude

local room, size, shared = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local job = { unpack(ARGV, 4, 3 + shared) }
local prefix, queue = string.match(KEYS[1], '^(.-):queue:(.*)$')
local scheduled = prefix .. ':scheduled:' .. queue
local new, taken = {}, {}

-- Remove the jobs that show the conversations of a new job. Return the description for the new job, or nil.
local function replace_shown(id)
  local partition, hashes = string.match(id, '^(%d+%-)(.*)%-%d+$')
  local description
  for at = 1, #(hashes or ''), size do
    local shown = partition .. string.sub(hashes, at, at + size - 1) .. '-0'
    if try('ZREM', scheduled, shown) == 1 then
      description = call('HGET', prefix .. ':job:' .. shown, 'description')
      call('DEL', prefix .. ':job:' .. shown)
    end
  end
  return description and #hashes == size and (string.gsub(description, ' · due [^·]*$', ''))
end

for i = 4 + shared, #ARGV, 3 do
  new[#new + 1] = ARGV[i]
end
if #new > 0 then
  call('RPUSH', KEYS[1], unpack(new))
  call('SADD', prefix .. ':queues', KEYS[1])
end
local is_shown = #new > 0 and call('EXISTS', scheduled) == 1
for i = 4 + shared, #ARGV, 3 do
  job[shared + 1], job[shared + 2] = 'description', is_shown and replace_shown(ARGV[i]) or ARGV[i + 1]
  job[shared + 3], job[shared + 4] = 'data', ARGV[i + 2]
  call('HSET', prefix .. ':job:' .. ARGV[i], unpack(job))
end

local suspended = call('EXISTS', prefix .. ':suspended')
if suspended == 0 and room > 0 then
  for _, id in ipairs(call('LRANGE', KEYS[1], 0, room - 1)) do
    if room <= 0 then
      break
    end
    taken[#taken + 1] = id
    room = room - math.max(1, math.floor(#(string.match(id, '^%d+%-(.*)%-') or '') / size))
  end
end
if #taken > 0 then
  call('LTRIM', KEYS[1], #taken, -1)
  call('RPUSH', KEYS[1] .. ':intermediate', unpack(taken))
end
return { suspended, call('LLEN', KEYS[1]), unpack(taken) }
