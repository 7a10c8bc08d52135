-- flush_now: close an open burst at once.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 conversation hash
-- returns  how many messages the burst holds (0: there was none)
-- touches  wake alias · conv buffer timer

-- include: alias

local name = resolve(ARGV[2])
local conv = read_conv(name)
if not conv.opened_ms then
  return 0
end
if not conv.fired then
  allow_writes_when_full()
  if not conv.flush_id and not conv.redrive and not paused(conv) then
    wake_set_and_announce(name, now_ms)
  end
  conv.fired, conv.deadline_ms = 'manual', now_ms
  write_window(name, conv)
  call('SET', key('timer', name), '', 'PX', 1)
end
return conv.depth
