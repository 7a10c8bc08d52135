-- works: an agent has answered; forget its strikes, and hold its calls no longer.
--
-- KEYS[1]  root of partition 0
-- ARGV     1 now_ms or ''   2 tag of the agent
-- returns  ms for which its calls were held, 0 if they were not: only one caller gets more than 0
-- touches  agents

-- include: held_agent

local tag = ARGV[2]
local state = read_agent(tag)
allow_writes_when_full()
call('HDEL', key('agents'), tag)
return state.since_ms and max(1, now_ms - state.since_ms) or 0
