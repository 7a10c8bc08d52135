-- Ages the tallies of a partition once a day (UTC): the gaps of the past fade, so that they tell of people as they write
-- now; the totals of the day's start are noted; and a channel that has counted nothing for long is forgotten.
--
-- Fields of a tally that are no counters:
--   about                      a sentence for people
--   gap_day                    number of the day on which it was aged last, at first that of its first count
--   day_messages, day_flushes  messages_accepted, and flushes of any reason, at the start of that day; absent on its first
--   day_sum, counted_day       the sum of all counters then, and the day on which it last was another one

local DAY_MS, FORGET_DAYS, TALLIES_PER_CALL = 86400000, 90, 50
local today = math.floor(now_ms / DAY_MS)
local NO_COUNTERS = { about = true, gap_day = true, day_messages = true, day_flushes = true, day_sum = true,
                      counted_day = true }

local function is_gap(field)
  return sub(field, 1, 4) == 'gap:'
end

-- Return the fields of a tally as numbers, the sum of its counters, and how many flushes it has counted.
local function read_tally(channel)
  local flat, fields, total, flushes = try('HGETALL', key('tally', channel)), {}, 0, 0
  for i = 1, #flat, 2 do
    local field, value = flat[i], tonumber(flat[i + 1]) or 0
    fields[field] = value
    if not NO_COUNTERS[field] and not is_gap(field) then
      total = total + value
    end
    if sub(field, 1, 8) == 'flushes_' and field ~= 'flushes_single' and field ~= 'flushes_superseded' then
      flushes = flushes + value
    end
  end
  return fields, total, flushes
end

local function forget_tally(channel)
  try('DEL', key('tally', channel))
  try('SREM', key('channels'), channel)
end

local function age_tally(channel)
  local fields, total, flushes = read_tally(channel)
  local counted_day = total == fields.day_sum and fields.counted_day or today
  if today - counted_day >= FORGET_DAYS or not next(fields) then
    return forget_tally(channel)
  end
  local is_new = not fields.gap_day -- what a new channel has counted belongs to its first day
  local aged = { 'gap_day', today, 'day_messages', is_new and 0 or fields.messages_accepted or 0,
                 'day_flushes', is_new and 0 or flushes, 'day_sum', total, 'counted_day', counted_day }
  local halves = 2 ^ min(30, max(0, today - (fields.gap_day or today)))
  for field, value in pairs(fields) do
    if is_gap(field) then
      aged[#aged + 1] = field
      aged[#aged + 1] = math.floor(value / halves)
    end
  end
  try('HSET', key('tally', channel), unpack(aged))
end

-- A few in each call: Redis runs no other command meanwhile.
local function age_tallies()
  local aged, channels = 0, try('SMEMBERS', key('channels'))
  for _, channel in ipairs(channels) do
    if aged == TALLIES_PER_CALL then
      return
    end
    local day = try('HGET', key('tally', channel), 'gap_day')
    if type(day) ~= 'table' and tonumber(day) ~= today then
      age_tally(channel)
      aged = aged + 1
    end
  end
end
