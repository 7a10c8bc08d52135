-- extend: the person is typing or recording; move the deadline of an open burst, never past its longest wait.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 conversation hash   3 typing_ms   4 max_wait_ms
-- returns  the new deadline_ms, or 0 when nothing changed (no open burst, it has fired, or it would be shorter)
-- touches  wake alias · conv timer

-- include: alias

local name, typing_ms, max_wait_ms = resolve(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local conv = read_conv(name)
if not conv.opened_ms or conv.fired then
  return 0
end
local deadline_ms = min(now_ms + typing_ms, conv.opened_ms + max_wait_ms)
if deadline_ms <= conv.deadline_ms then
  return 0
end
if not conv.flush_id and not conv.redrive and not paused(conv) then
  wake_set(name, deadline_ms)
end
conv.deadline_ms = deadline_ms
write_window(name, conv)
call('SET', key('timer', name), '', 'PX', max(1, deadline_ms - now_ms))
return deadline_ms
