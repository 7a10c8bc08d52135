-- redrive: deliver a dead letter again; it is served before anything new is sealed.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 flush_id
-- returns  'ok' | 'already' (redriven before) | 'gone' (its messages or fields are gone) | 'unknown'
-- touches  wake idle dead tally channels alias · conv redrive · letter remains

-- include: tally_at_once
-- include: alias
-- include: read
-- include: redrive_letter

local flush_id = ARGV[2]
local outcome = redrive_letter(flush_id)
if outcome == 'ok' then
  local gateway, channel = unpack(call('HMGET', key('letter', flush_id), 'gateway', 'channel'))
  tally({ gateway = gateway, channel = channel }, 'redriven', 1)
end
return outcome
