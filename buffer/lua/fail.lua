-- fail: the batch was not delivered; try it again later, or keep it as a dead letter.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 conversation hash   3 token   4 'retry' | 'unreached' | 'held' | 'dead' | 'release'
--          5 delay_ms before the next attempt   6 max_attempts   7 the error, for people
--          8 give_up_ms of 'unreached' and 'held' (0 = never)   9 tag of the agent whose calls are held ('' = none)
--          10 the answer that the person gets if the batch dies ('' = none)   11 the prints of its parts
--          'retry' counts against max_attempts; 'release' (a hand-back at shutdown) does not; 'dead' is final;
--          'unreached' (the agent never got the request) and 'held' (it was not called, for it fails for everyone) do not
--          count, until give_up_ms have passed since the first; with a tag unpark.lua brings the batch back earlier
-- returns  'ok' | 'dead' | 'lost' | 'cancelled' | 'superseded' (the person goes on, and the batch was taken back, whatever
--          the mode) | 'broken' (its keys cannot be read); a repeated fail returns the same as the first
-- touches  wake idle dead history tally channels counters suspects alias · conv buffer batch timer lock media mark redrive · letter
--          remains parked sick

-- include: tally_at_once
-- include: buckets
-- include: history
-- include: batch
-- include: fence
-- include: guard

local COUNTED = { retry = 1, dead = 1 }
local WAITING = { unreached = true, held = true }
local UNCALLED = { release = true, held = true }

local name, token, mode = ARGV[2], ARGV[3], ARGV[4]
local delay_ms, max_attempts, problem = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local give_up_ms, agent = tonumber(ARGV[8]), ARGV[9]

-- Return true if the agent was out of reach for too long. The first such failure starts the time.
local function is_given_up(conv)
  if not WAITING[mode] then
    return false
  elseif not conv.unreached_ms then
    call('HSET', key('conv', name), 'unreached_ms', now_ms)
    return false
  end
  return give_up_ms > 0 and now_ms - number(conv, 'unreached_ms') >= give_up_ms
end

-- Make a dead letter, and tell the person if they are to hear of it. Few batches die: the steps are made only then.
local function die(conv)
  -- include: alias
  -- include: read
  -- include: redrive_letter
  -- include: fallback
  local dead = { answer = conv.answer, flush_id = conv.flush_id, ref = conv.ref, gateway = conv.gateway,
                 channel = conv.channel, peer = conv.peer, sealed_peer = conv.sealed_peer,
                 sealed_name = conv.sealed_name, separator = conv.separator }
  make_dead_letter(name, conv, problem)
  if ARGV[10] ~= '' then
    send_fallback(name, dead, ARGV[10], ARGV[11])
  end
end

local function fail()
  local conv = read_conv(name)
  local refused = fenced(conv, token)
  if refused then
    return refused
  end
  allow_writes_when_full()
  if not UNCALLED[mode] then
    tally(conv, 'agent_failures', 1)
  end
  local failures = number(conv, 'failures') + (COUNTED[mode] or 0)
  if conv.cancelled then
    rearm(name, conv)
    discard_batch(name, conv, conv.cancelled)
    return keep_outcome(name, token, 'cancelled')
  elseif conv.superseded then
    -- include: rejoin
    -- include: take_back
    return take_back(name, conv)
  elseif mode == 'dead' or failures >= max_attempts or is_given_up(conv) then
    rearm(name, conv)
    conv.failures = tostring(failures)
    die(conv)
    return keep_outcome(name, token, 'dead')
  end
  wake_set_and_announce(name, now_ms + delay_ms)
  call('HSET', key('conv', name), 'failures', failures, 'retry_at_ms', now_ms + delay_ms)
  if agent ~= '' then
    is_set_aside(try('ZADD', key('parked', agent), number(conv, 'closed_ms'), name), 'parked:' .. agent)
    call('HSET', key('conv', name), 'parked', agent)
  end
  call('HDEL', key('conv', name), 'token', 'awaited_ms')
  call('DEL', key('lock', name))
  leave_suspects(name, conv)
  return keep_outcome(name, token, 'ok')
end

return guarded(fail, name) or 'broken'
