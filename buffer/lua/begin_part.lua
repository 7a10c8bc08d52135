-- begin_part: mark the next part of an answer as `sending`; only then its request may leave (docs/invariants.md#12).
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   then ten for each conversation: its hash · token · number of the part · fingerprint of our
--          own id for it ('' = none) · tag of its channel · the channel's interval_ms and burst · the person's
--          interval_ms and burst · probe_ms of a held channel
-- returns  one for each conversation: { mark, at_ms (0 = it does not wait) }: 'send' | 'wait' (a limit or a pause) |
--          'held' (nothing can be sent through the channel) | 'lost' | 'cancelled' | 'superseded' (the person goes on, and
--          the batch was taken back) | 'broken' (its keys cannot be read); a repeated call returns the same as the first
-- touches  wake idle history tally channels counters suspects alias · conv buffer batch timer lock media mark memory · rate
--          held sent · sick
--
-- 'wait' and 'held' give the lease back until at_ms. A limit keeps its moment for a part that waits, so that those of a
-- channel come back one after the other (GCRA: the generic cell rate algorithm of ATM, ITU-T I.371).

-- include: tally
-- include: buckets
-- include: history
-- include: batch
-- include: parts
-- include: sent
-- include: fence
-- include: give_back
-- include: guard

-- Return the moment at which a limit lets the next part go, and its arrival time after that part.
local function slot_of(arrival_ms, interval_ms, burst)
  arrival_ms = tonumber(arrival_ms) or 0
  if interval_ms == 0 or not is_ahead(arrival_ms) then
    return now_ms, now_ms + interval_ms
  end
  return max(now_ms, arrival_ms - (burst - 1) * interval_ms), arrival_ms + interval_ms
end

-- Keep a moment for the part in both limits. Return it.
local function reserve(name, conv, tag, channel_interval_ms, channel_burst, person_interval_ms, person_burst)
  local channel_ms, person_ms, arrival_ms = now_ms, now_ms, nil
  if channel_interval_ms > 0 then
    local before = try('GET', key('rate', tag))
    channel_ms, arrival_ms = slot_of(type(before) == 'string' and before, channel_interval_ms, channel_burst)
    call('SET', key('rate', tag), arrival_ms)
  end
  if person_interval_ms > 0 then
    person_ms, arrival_ms = slot_of(conv.person_tat_ms, person_interval_ms, person_burst)
    call('HSET', key('conv', name), 'person_tat_ms', arrival_ms)
  end
  return max(channel_ms, person_ms)
end

-- Return until when the channel is held, or nil. When that is over, this part is the probe and the others wait on.
local function held_until(tag, probe_ms)
  local until_ms = try('HGET', key('held', tag), 'until_ms')
  until_ms = type(until_ms) == 'string' and tonumber(until_ms)
  if not until_ms then
    return nil
  elseif is_ahead(until_ms) then
    return until_ms
  end
  call('HSET', key('held', tag), 'until_ms', now_ms + probe_ms)
end

local function wait(name, conv, at_ms, mark)
  return { give_back(name, conv, at_ms, mark), at_ms }
end

-- A resume may come before the end of the pause, and the part is due then.
local function wait_for_resume(name, conv)
  local reply = wait(name, conv, number(conv, 'paused_until_ms'), 'wait')
  call('HDEL', key('conv', name), 'retry_at_ms')
  return reply
end

local function begin_part(name, token, part, own_id, tag, limits)
  local conv = read_conv(name)
  local refused = fenced(conv, token)
  if refused == 'lost' then
    return { 'lost', 0 }
  elseif refused then
    return { refused, paused(conv) and number(conv, 'paused_until_ms') or number(conv, 'retry_at_ms') }
  elseif conv.cancelled then
    return { 'cancelled', 0 }
  elseif conv.superseded then
    -- include: rejoin
    -- include: take_back
    return { take_back(name, conv), 0 }
  elseif tonumber(conv.next_part) ~= part then
    return { 'lost', 0 }
  elseif conv.sending_ms then -- marked by this very token: the claim settles the mark of any other
    return { 'send', 0 }
  elseif not leased(conv) then -- another worker may be about to go on with the next part
    return { 'lost', 0 }
  end
  allow_writes_when_full()
  if paused(conv) then
    return wait_for_resume(name, conv)
  end
  local until_ms = held_until(tag, limits.probe_ms)
  if until_ms then
    return wait(name, conv, until_ms, 'held')
  end
  local slot_ms = tonumber(conv.slot_ms) or reserve(name, conv, tag, unpack(limits))
  if is_ahead(slot_ms) then
    call('HSET', key('conv', name), 'slot_ms', slot_ms)
    return wait(name, conv, slot_ms, 'wait')
  end
  call('HSET', key('conv', name), 'sending_ms', now_ms)
  if conv.new_memory then
    -- include: keep_memory
    keep_memory(name, conv.new_memory)
    call('HDEL', key('conv', name), 'new_memory')
  end
  remember_sent(own_id, tag, name, part_id(conv))
  return { 'send', 0 }
end

local replies = {}
for i = 2, #ARGV, 10 do
  local limits = { probe_ms = tonumber(ARGV[i + 9]) }
  for j = 1, 4 do
    limits[j] = tonumber(ARGV[i + 4 + j])
  end
  local part = guarded(begin_part, ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3], ARGV[i + 4], limits)
  table.insert(replies, part or { 'broken', 0 })
end
-- include: write_tallies
return replies
