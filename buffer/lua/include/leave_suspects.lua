-- Frees the slots of a suspect (include/suspect.lua) that is no longer in flight.

local function leave_suspects(name, conv)
  if number(conv, 'crashes') > 0 then
    call('ZREM', key('suspects'), name)
  end
end
