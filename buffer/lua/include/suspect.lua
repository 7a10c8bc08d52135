-- A batch whose worker died twice is a suspect. A dying worker takes the calls beside it along, so a crash says little
-- about one batch: suspects share SUSPECT_SLOTS, and each further crash doubles the slots that a batch takes. So the
-- one that kills is soon the only suspect at work, and the others have got through.

local SUSPECT_CRASHES, SUSPECT_SLOTS = 2, 16
local SUSPECT_POLL_MS = 1000
local BACK_OFF_LEASES = 8

local function slots_of(crashes)
  return crashes < SUSPECT_CRASHES and 0 or min(SUSPECT_SLOTS, 2 ^ (crashes - SUSPECT_CRASHES))
end

-- Return true if the suspects in flight leave too few slots for this one.
local function is_crowded(name, conv)
  call('ZREMRANGEBYSCORE', key('suspects'), '-inf', now_ms)
  local taken = slots_of(number(conv, 'crashes'))
  for _, other in ipairs(call('ZRANGE', key('suspects'), 0, -1)) do
    if other ~= name then
      taken = taken + slots_of(tonumber(call('HGET', key('conv', other), 'crashes')) or SUSPECT_CRASHES)
    end
  end
  return taken > SUSPECT_SLOTS
end

-- How long a batch rests after it was the only suspect when its worker died. It grows, so that a node that kills
-- every worker can be mended before the batches of that time are dead letters.
local function rest_ms(crashes, lease_ms)
  if slots_of(crashes - 1) < SUSPECT_SLOTS then
    return 0
  end
  local alone = crashes - SUSPECT_CRASHES - 4 -- 2 ^ 4 slots: the first crash that it had alone
  return lease_ms * min(alone, BACK_OFF_LEASES)
end
