-- Notes in the set `channels` the channel whose tally got a new field. A partition has a bounded number of tallies: the
-- channels beyond it share one. Keys of another type stop no script: a total is worth less than what it counts.
-- Needs these variables of include/write_tallies.lua: channel, tally_key, field, amount, total.

local CHANNELS_MAX, DAY_MS = 1000, 86400000
local OTHERS = ':' -- gateway and channel ''
local ABOUT = 'What the scripts have counted for one channel. docs/counters.md says what each field means.'

-- Return false if the channel is one too many.
local function note(name)
  try('HSETNX', tally_key, 'gap_day', math.floor(now_ms / DAY_MS)) -- include/age.lua: it ages from its second day on
  try('HSETNX', tally_key, 'about', ABOUT) -- a value of this length makes Redis look fields up by hash, not one by one
  local is_new = try('SADD', key('channels'), name)
  if is_set_aside(is_new, 'channels') then
    is_new = try('SADD', key('channels'), name)
  end
  if is_new ~= 1 or name == OTHERS or call('SCARD', key('channels')) <= CHANNELS_MAX then
    return true
  end
  call('SREM', key('channels'), name)
  call('DEL', tally_key)
end

if is_set_aside(total, 'tally:' .. channel) then
  try('HINCRBY', tally_key, field, amount)
end
if not note(channel) then -- its other fields follow: an unknown channel is refused at its first
  channel, tally_key = OTHERS, key('tally', OTHERS)
  try('HINCRBY', tally_key, field, amount)
  note(channel)
end
