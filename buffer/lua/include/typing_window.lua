-- Gives the message the shorter window if the typing of the person was seen a short time ago (presence.lua): it will be seen
-- if they go on. Needs these variables of append.lua and include/burst.lua: conv, typing_ms, quiet_ms, why.

local TYPING_WINDOW, PRESENCE_KNOWN_MS = 3, 60000 -- include/prelude.lua has the reasons; as in buffer/deadlines.py
local presence_ms = conv.presence_ms and tonumber(conv.presence_ms)
if presence_ms and now_ms - presence_ms < PRESENCE_KNOWN_MS then
  quiet_ms, why = typing_ms, TYPING_WINDOW
end
