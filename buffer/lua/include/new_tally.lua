-- Notes in the hash `channels` whose tally it is that got a new field. A partition has a bounded number of tallies: the
-- channels beyond it share one. Keys of another type stop no script: a total is worth less than what it counts.
-- Needs these variables of include/write_tallies.lua: channel, tally_key, field, amount, total.

local CHANNELS_MAX, DAY_MS = 1000, 86400000
local OTHERS = '\0' -- gateway and channel ''
local ABOUT = 'What the scripts have counted for one channel. docs/counters.md says what each field means.'

-- Return false if the channel is one too many.
local function note(name)
  local digest = sub(tally_key, -16)
  try('HSETNX', tally_key, 'gap_day', math.floor(now_ms / DAY_MS)) -- include/age.lua: it ages from its second day on
  try('HSETNX', tally_key, 'about', ABOUT) -- a value of this length makes Redis look fields up by hash, not one by one
  local is_new = try('HSETNX', key('channels'), digest, name)
  if is_set_aside(is_new, 'channels') then
    is_new = try('HSETNX', key('channels'), digest, name)
  end
  if is_new ~= 1 or name == OTHERS or call('HLEN', key('channels')) <= CHANNELS_MAX then
    return true
  end
  call('HDEL', key('channels'), digest)
  call('DEL', tally_key)
end

if is_set_aside(total, 'tally:' .. sub(tally_key, -16)) then
  try('HINCRBY', tally_key, field, amount)
end
if not note(channel) then -- its other fields follow: an unknown channel is refused at its first
  tally_key = key('tally', sub(redis.sha1hex(OTHERS), 1, 16))
  try('HINCRBY', tally_key, field, amount)
  note(OTHERS)
end
