-- Gives the message the window of its contact, if its route finds windows and has found that of the channel, or none yet.
-- Needs these variables of append.lua and include/burst.lua: conv, quiet_ms, why, own_min_ms, own_max_ms.

local AUTO_START, AUTO_CHANNEL, AUTO_CONTACT = 4, 5, 6 -- include/prelude.lua has the reasons
local HABITS_SIZE, OWN_WINDOW_AT = 9, 8 -- the window in units of 10 ms; buffer/habits.py has the layout
if (why == AUTO_CHANNEL or why == AUTO_START) and #conv.habits == HABITS_SIZE then
  local own_ms = 10 * struct.unpack('>I2', conv.habits, OWN_WINDOW_AT)
  if own_ms > 0 then
    quiet_ms, why = max(own_min_ms, min(own_ms, own_max_ms)), AUTO_CONTACT -- it may be from before the bounds were others
  end
end
