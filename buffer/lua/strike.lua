-- strike: note a call to an agent that failed as every call to it would; hold its calls once several people in a row met that.
--
-- KEYS[1]  root of partition 0
-- ARGV     1 now_ms or ''   2 tag of the agent   3 digest of the person   4 how many people make it fail for everyone
--          5 ms until the first probe   6 ms after which strikes are forgotten   7 address of the agent   8 why, for people
-- returns  { status, ms until the next probe }: 'works' (it is called on) | 'opened' (this call made it held) | 'held'
-- touches  agents

-- include: held_agent

local STRUCK_MAX = 64

local tag, person, people_max = ARGV[2], ARGV[3], tonumber(ARGV[4])
local first_ms, forget_ms, address, reason = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7], ARGV[8]

-- Return the digests of the people struck, this one included, and how many they are.
local function strike(state)
  local struck = now_ms - (state.struck_ms or 0) < forget_ms and tostring(state.struck or '') or ''
  if not string.find(struck, person, 1, true) then
    struck = struck .. ' ' .. person
  end
  local _, people = string.gsub(struck, '%S+', '')
  return struck, people
end

local state = read_agent(tag)
if state.since_ms then
  return { 'held', max(0, (state.until_ms or 0) - now_ms) }
end
local struck, people = strike(state)
state = { address = address, reason = reason, struck = struck, struck_ms = now_ms }
local is_opened = people >= min(people_max, STRUCK_MAX)
if is_opened then
  state.since_ms, state.until_ms, state.probes = now_ms, now_ms + first_ms, 0
end
write_agent(tag, state)
return is_opened and { 'opened', first_ms } or { 'works', 0 }
