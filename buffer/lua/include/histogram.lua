-- Histograms of times in ms: the fields `<name>:<i>` of a channel's tally count the values of bucket i, from 0, and
-- `<name>:sum` adds them up. Needs `tally`.

local LATENESS = { 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 60000 } -- upper bounds; the last bucket has none
local LATENCY = { 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 120000 }

local function observe(conv, name, bounds, value_ms)
  local bucket, value = 0, max(0, value_ms)
  while bucket < #bounds and value > bounds[bucket + 1] do
    bucket = bucket + 1
  end
  tally(conv, name .. ':' .. bucket, 1)
  tally(conv, name .. ':sum', value)
end
