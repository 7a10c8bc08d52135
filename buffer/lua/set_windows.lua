-- set_windows: note the windows of channels that find their own.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   then two for each channel: gateway, colon, channel · window_ms, a blank, why (buffer/windows.py)
-- returns  how many channels that were
-- touches  windows

local noted = try('HSET', key('windows'), unpack(ARGV, 2))
if is_set_aside(noted, 'windows') then
  noted = try('HSET', key('windows'), unpack(ARGV, 2))
end
return type(noted) == 'table' and noted.err and noted or (#ARGV - 1) / 2
