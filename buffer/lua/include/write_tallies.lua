-- Writes what was counted for channels into the hash `tally` of each.
-- Needs the table `tallies`. A number in place of a field is the bucket of a gap: its name is made once for all gaps.

for channel, counts in pairs(tallies) do
  local tally_key = key('tally', channel)
  for counted, amount in pairs(counts) do
    local field = type(counted) == 'number' and 'gap:' .. counted or counted
    local total = amount ~= 0 and try('HINCRBY', tally_key, field, amount)
    if total == amount or type(total) == 'table' then -- the first of its kind, or a key of another type
      -- include: new_tally
    end
  end
end
