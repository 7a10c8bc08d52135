-- Counts for channels, in calls that serve one conversation. Each count is written at once.

local function tally(conv, field, amount, other, other_amount)
  local counts = { [field] = amount }
  if other then
    counts[other] = other_amount
  end
  local tallies = { [(conv.gateway or '') .. ':' .. (conv.channel or '')] = counts }
  -- include: write_tallies
end
