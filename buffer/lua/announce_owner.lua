-- announce_owner: note that a worker of a deployment is at work here, and return all that were.
--
-- KEYS[1]  root of partition 0, which has the owners of all partitions
-- ARGV     1 now_ms or ''   2 owner (buffer/owners.py), or '' to read only   3 forget_ms: older owners are deleted
-- returns  now_ms · owner and seen_ms of each owner …
-- touches  owners

local owner, forget_ms = ARGV[2], tonumber(ARGV[3])
if owner ~= '' then
  call('HSET', key('owners'), owner, now_ms)
end
local flat, owners = call('HGETALL', key('owners')), { now_ms }
for i = 1, #flat, 2 do
  if (tonumber(flat[i + 1]) or 0) + forget_ms >= now_ms then
    owners[#owners + 1] = flat[i]
    owners[#owners + 1] = flat[i + 1]
  elseif owner ~= '' then
    call('HDEL', key('owners'), flat[i])
  end
end
return owners
