-- probe: may an agent be called? One whose calls are held gets one call an interval, from whichever worker asks first.
--
-- KEYS[1]  root of partition 0
-- ARGV     1 now_ms or ''   2 tag of the agent   3 ms until the first probe, doubled with each   4 longest interval in ms
-- returns  { status, ms until the next probe }: 'works' (its calls are not held) | 'probe' (this call is the probe) | 'held'
-- touches  agents

-- include: held_agent

local tag, first_ms, longest_ms = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local state = read_agent(tag)
if not state.since_ms then
  return { 'works', 0 }
elseif is_ahead(state.until_ms or 0) then
  return { 'held', state.until_ms - now_ms }
end
state.probes = (state.probes or 0) + 1
local interval_ms = min(longest_ms, first_ms * 2 ^ min(state.probes, 32))
state.until_ms = now_ms + interval_ms
write_agent(tag, state)
return { 'probe', interval_ms }
