-- Notes what append has counted, in one write for all channels: include/fold.lua has the layout. When there is much of it,
-- because no worker is there to do that, it adds it to the tallies.
-- Needs these tables of append.lua: codes, channels, starts.

local FOLD_BYTES = 32768 -- the upkeep of a worker folds before that. docs/counters.md tells what it takes

local runs = {}
for i, channel in ipairs(channels) do
  local some = string.char(unpack(codes, starts[i], (starts[i + 1] or #codes + 1) - 1))
  runs[i] = struct.pack('>I3c0I2c0', #channel, channel, #some, some)
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
