-- Batches of one person under several names. A batch that was in flight when its conversation became an alias stays
-- under the old hash, and the field `behind` of the kept conversation names that hash. They go out one at a time, the
-- oldest first, and nothing new is sealed before them. Needs `alias`, and these variables of claim.lua: name, resolved,
-- conv, lease_ms.

-- Return true if another batch of the person is in flight, or older than what `name` would deliver.
local function goes_first(other, other_conv)
  if leased(other_conv) or not conv.flush_id then
    return true
  end
  local theirs, ours = number(other_conv, 'closed_ms'), number(conv, 'closed_ms')
  return theirs < ours or (theirs == ours and other < name)
end

-- Return the moment until which `name` must wait for other batches of its person, or nil. Forget those that have ended.
local function blocked_until()
  local kept = resolved == name and conv or read_conv(resolved)
  local behind, left, until_ms = kept.behind or '', '', nil
  local others = resolved == name and behind or behind .. resolved
  for i = 1, #others, 16 do
    local other = sub(others, i, i + 15)
    local other_conv = other ~= name and read_conv(other) or {}
    if other_conv.flush_id then
      left = left .. other
      if goes_first(other, other_conv) then
        local ends_ms = leased(other_conv) and other_conv.lease_until_ms or other_conv.retry_at_ms
        -- Its job may be lost or late: until it is due again nothing is gained by looking, and its end wakes this one.
        local wake_ms = tonumber(call('ZSCORE', key('wake'), other)) or 0
        until_ms = max(until_ms or 0, now_ms + 1, tonumber(ends_ms) or now_ms + lease_ms, wake_ms)
      end
    end
  end
  if resolved == name and left ~= behind then
    allow_writes_when_full()
    call('HSET', key('conv', name), 'behind', left)
  end
  return until_ms
end
