-- Notes what append has counted, in one write for all channels: include/fold.lua has the layout. When there is much of it,
-- because no worker is there to do that, it adds it to the tallies.
-- Needs these variables of append.lua: codes, channels, starts, coded. A run has up to MESSAGES_PER_WRITE messages.

local FOLD_BYTES = 32768 -- the upkeep of a worker folds before that. docs/counters.md tells what it takes

local runs = {}
for i = 1, #channels do
  local from, to = starts[i], (starts[i + 1] or coded + 1) - 1
  runs[2 * i - 1], runs[2 * i] = channels[i], string.char(0, to - from + 1, unpack(codes, from, to))
end
if #runs > 0 then
  runs = table.concat(runs)
  local length = try('APPEND', key('uncounted'), runs)
  if is_set_aside(length, 'uncounted') then
    length = try('APPEND', key('uncounted'), runs)
  end
  if type(length) == 'number' and length > FOLD_BYTES then
    -- include: fold
    fold()
  end
end
