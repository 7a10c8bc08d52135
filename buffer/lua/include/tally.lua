-- The counters of the channels: the hash `tally` of each, named by a digest of the channel, and the hash `channels`, which
-- tells whose they are. docs/counters.md says what each counts. A key of another type stops no script: a total is worth
-- less than what it counts.

local CHANNELS_MAX = 1000
local OTHERS = '\0' -- gateway and channel '': the channels beyond CHANNELS_MAX together, and what belongs to none

-- What a call has counted, by channel, if it serves many conversations: it writes these at its end. Other calls write
-- each count at once.
local tallies

local function add_to_tally(digest, field, amount)
  local total = try('HINCRBY', key('tally', digest), field, amount)
  if is_set_aside(total, 'tally:' .. digest) then
    total = try('HINCRBY', key('tally', digest), field, amount)
  end
  return total
end

-- Note whose tally it is, when it got a new field. Return false if there are too many: then the tally is gone.
local function note_channel(digest, channel)
  local is_new = try('HSETNX', key('channels'), digest, channel)
  if is_set_aside(is_new, 'channels') then
    is_new = try('HSETNX', key('channels'), digest, channel)
  end
  if is_new ~= 1 or channel == OTHERS or call('HLEN', key('channels')) <= CHANNELS_MAX then
    return true
  end
  call('HDEL', key('channels'), digest)
  call('DEL', key('tally', digest))
  return false
end

-- Only the first field of an unknown channel can be refused: so no field is counted twice.
local function write_tally(channel, fields)
  local digest = sub(redis.sha1hex(channel), 1, 16)
  for field, amount in pairs(fields) do
    if amount ~= 0 and add_to_tally(digest, field, amount) == amount and not note_channel(digest, channel) then
      return write_tally(OTHERS, fields)
    end
  end
end

-- Count for the channel of a conversation, or of anything else with the fields `gateway` and `channel`.
local function tally(conv, field, amount)
  local channel = (conv.gateway or '') .. '\0' .. (conv.channel or '')
  if not tallies then
    return write_tally(channel, { [field] = amount })
  end
  local fields = tallies[channel]
  if not fields then
    fields = {}
    tallies[channel] = fields
  end
  fields[field] = (fields[field] or 0) + amount
end

local function write_tallies()
  for channel, fields in pairs(tallies) do
    write_tally(channel, fields)
  end
  tallies = nil
end
