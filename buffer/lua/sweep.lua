-- sweep: forget conversations that have held nothing for longer than the seen set remembers message ids, and age the tallies.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 idle_ms   3 limit
-- returns  how many conversations were forgotten
-- touches  wake idle uncounted tally channels counters alias · conv seen slabs timer mark memory sick
--
-- The idle index replaces a TTL per conversation: keys with a TTL delay every expiry event.

-- include: guard
-- include: fold
-- include: age

local function forget(name)
  local aliases = call('HGET', key('conv', name), 'aliases') or ''
  for i = 1, #aliases, 16 do
    call('HDEL', key('alias'), string.sub(aliases, i, i + 15))
  end
  call('DEL', key('conv', name), key('seen', name), key('slabs', name), key('timer', name), key('mark', name),
    key('memory', name))
  call('ZREM', key('idle'), name)
end

local before_ms, limit = now_ms - tonumber(ARGV[2]), tonumber(ARGV[3])
local forgotten = call('ZRANGEBYSCORE', key('idle'), '-inf', before_ms, 'LIMIT', 0, limit)
for _, name in ipairs(forgotten) do
  guarded(forget, name)
end
fold()
age_tallies()
return #forgotten
