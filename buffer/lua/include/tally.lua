-- Counts for channels, in calls that serve many conversations: nothing is written before include/write_tallies.lua, at
-- the end of the script. docs/counters.md says what each counter counts.

local tallies = {} -- gateway, colon, channel -> the counts of this call

-- Count one thing or two for the channel of a conversation, or of anything else with the fields `gateway` and `channel`.
-- Return its counts.
local function tally(conv, field, amount, other, other_amount)
  local channel = (conv.gateway or '') .. ':' .. (conv.channel or '')
  local counts = tallies[channel]
  if not counts then
    counts = {}
    tallies[channel] = counts
  end
  counts[field] = (counts[field] or 0) + amount
  if other then
    counts[other] = (counts[other] or 0) + other_amount
  end
  return counts
end
