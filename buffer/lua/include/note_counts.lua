-- Notes what append has counted, in one write for all channels: include/fold.lua has the layout. It adds them to the
-- tallies when there are many. Needs the table `codes` of append.lua.

local FOLD_BYTES = 8192 -- a fold of so much takes a few hundred µs, and costs each message less than a write of its own

local runs = {}
for channel, some in pairs(codes) do
  runs[#runs + 1] = struct.pack('>I3c0I2c0', #channel, channel, #some, some)
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
