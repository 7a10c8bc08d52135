-- Counts for channels, in calls that serve one conversation. Each count is written at once.

local function tally(conv, field, amount)
  local tallies = { [(conv.gateway or '') .. ':' .. (conv.channel or '')] = { [field] = amount } }
  -- include: write_tallies
end
