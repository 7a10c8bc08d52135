-- Adds what append has counted, and only written down in the key `uncounted`, to the tallies of the channels. The key is
-- runs: length of the channel (3 bytes) · gateway, colon, channel · number of messages (2) · one code for each message.
-- A code is
--   0 to 23  the bucket of the gap before the message (include/burst.lua)   31 no gap is known
--            + 32 it begins a turn; up to 20: the bucket to whose end the person had not gone on when they read an answer
--            + 64 it opens a burst within a turn, which was split by that   + 128 the first to do so
--            + 96 the same as + 32, but the message is of the same turn, and came after a hold
--   30       every message is its own flush: only the message is counted
--   24 duplicate   25 discarded   26 stale   27 broken   28 full
-- What no script can have written is set aside, with all that stands behind it: it stops nothing.

-- Add a number of messages with the same code to the counts of their channel.
local function add_up(counts, code, messages)
  local READ_MAX = 20
  local function add_to(field)
    counts[field] = (counts[field] or 0) + messages
  end
  local kind = code % 32
  if kind >= 24 and kind < 30 then
    add_to('messages_' .. (kind == 24 and 'duplicate' or kind == 25 and 'discarded' or kind == 26 and 'stale'
      or kind == 27 and 'broken' or 'full'))
    return
  end
  add_to('messages_accepted')
  local is_silent, is_cut = code % 64 >= 32, code % 128 >= 64
  if is_silent and kind <= READ_MAX then
    add_to('gap:read:' .. kind)
  elseif kind < 24 then
    add_to(kind) -- include/write_tallies.lua names it
  end
  if is_silent then
    add_to('gap:turns') -- ages with the gaps
    if not is_cut then
      add_to('turns')
    end
  elseif is_cut then
    add_to('bursts_split')
  end
  if code >= 128 then
    add_to('turns_split')
  end
end

-- Return how many messages have each code, by channel, and where the first run is that no script has written.
local function read_runs(bytes)
  local channels, at = {}, 1
  pcall(function()
    while at <= #bytes do
      local channel, messages, codes_at = struct.unpack('>I3c0I2', bytes, at)
      assert(codes_at + messages - 1 <= #bytes)
      local found = channels[channel]
      if not found then
        assert(string.find(channel, ':', 1, true))
        found = {}
        channels[channel] = found
      end
      for i = codes_at, codes_at + messages - 1 do
        local code = byte(bytes, i)
        found[code] = (found[code] or 0) + 1
      end
      at = codes_at + messages
    end
  end)
  return channels, at
end

-- The key goes first: on a server that takes no writes nothing is counted, and nothing is lost.
local function fold()
  local bytes = try('GET', key('uncounted'))
  if is_set_aside(bytes, 'uncounted') or type(bytes) ~= 'string' or type(try('DEL', key('uncounted'))) == 'table' then
    return 0
  end
  local channels, at = read_runs(bytes)
  if at <= #bytes then
    try('SET', key('sick', 'uncounted'), sub(bytes, at))
    count('sick', 1)
  end
  local tallies = {}
  for channel, codes in pairs(channels) do
    local counts = {}
    for code, messages in pairs(codes) do
      add_up(counts, code, messages)
    end
    tallies[channel] = counts
  end
  -- include: write_tallies
  return #bytes
end
