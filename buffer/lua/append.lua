-- append: put messages into the open bursts of their conversations, many conversations of one partition in one call.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 partition   3 window_ms   4 max_wait_ms   5 max_messages   6 max_bytes
--          7 dedupe_ttl_ms  8 '1' when every message is its own flush   9 max_age_ms (0 = any age)
--          then one for each message, a record of: conversation hash (16 bytes) · hash of the person's other name
--          (16, blanks = none) · nonce (4) · of the entry it becomes: order_ms (6), flags, album and fingerprint (13) ·
--          lengths of the next five (unsigned, 4 bytes each) · gateway · channel · peer · name · inline media ·
--          JSON payload
-- returns  three for each message: 'new' | 'duplicate' | 'discarded' (a human has taken over) | 'revoked' (its revoke
--          came first) | 'stale' (older than max_age_ms) · deadline_ms · depth of the burst
-- touches  wake idle counters history alias · conv buffer batch seen timer lock media mark redrive
--
-- A message id that is remembered changes nothing, except that a lost wake entry is put back (invariant 8).
-- First every message of a lot is looked at, then each conversation is written once. The wake entries are the first
-- write: a full server refuses them, and then nothing was written (invariant 11).

-- include: history
-- include: seen
-- include: alias

local partition, window_ms, max_wait_ms = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local max_messages, max_bytes, dedupe_ttl_ms = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local single = ARGV[8] == '1'
local max_age_ms = tonumber(ARGV[9])

local LOT_MAX = 100 -- Lua passes some thousand values to a command, not any number
local NO_TWIN = string.rep(' ', 16)

local CONV, BUFFER, SEEN, TIMER = key('conv', ''), key('buffer', ''), key('seen', ''), key('timer', '')

local KEYWORD, TIMED = 1, 4 -- flags of an entry
local RECEIVED = struct.pack('>I6', now_ms)

local earliest_ms, nearest_ms = earliest(), math.huge
local has_aliases = call('EXISTS', key('alias')) == 1
local totals = { new = 0, duplicate = 0, discarded = 0, revoked = 0, stale = 0, resent = 0 }

-- The lot in hand: its conversations as they will be; wake entries to set, and those to put back where they are lost;
-- what ended at once.
local convs, wakes, heals, ended = {}, {}, {}, {}

-- The message in hand.
local record, name, twin, nonce, order, flags, rest, fingerprint, peer, sender, payload
local at_gateway, at_channel, at_peer, at_sender, at_media, at_payload

local function add(list, first, second)
  local at = #list
  list[at + 1], list[at + 2] = first, second
end

local function look()
  local conv = convs[name]
  if not conv then
    local flat = call('HMGET', CONV .. name, 'window', 'flush_id', 'redrive', 'paused_until_ms', 'marks', 'peer', 'name')
    conv = { is_busy = flat[2] or flat[3], paused_until_ms = flat[4], marks = flat[5], peer = flat[6], name = flat[7],
             seen = call('GET', SEEN .. name) or '' }
    if flat[1] then
      unpack_window(conv, flat[1])
      conv.has_timer = true
    else
      conv.bytes, conv.depth = 0, call('LLEN', BUFFER .. name)
    end
    convs[name] = conv
  end
  return conv
end

local function heal(conv)
  if conv.is_busy then
    add(heals, now_ms, name)
  elseif conv.opened_ms then
    add(heals, paused(conv) and number(conv, 'paused_until_ms') or conv.deadline_ms, name)
  end
end

-- Why this message closes the burst at once, or nil.
local function firing(depth, bytes)
  if single then
    return 'disabled'
  elseif flags % 2 == KEYWORD then
    return 'keyword'
  elseif depth >= max_messages then
    return 'max_messages'
  elseif bytes >= max_bytes then
    return 'max_bytes'
  end
end

-- A deadline that has fired stays where it is, and so does its wake entry: it may be dispatched already.
local function schedule(conv, deadline_ms, fired_before)
  if conv.is_busy or fired_before then
    add(heals, fired_before and deadline_ms or now_ms, name)
  elseif paused(conv) then
    add(wakes, number(conv, 'paused_until_ms'), name)
  else
    add(wakes, deadline_ms, name)
    nearest_ms = min(nearest_ms, deadline_ms)
  end
end

-- A field that changes goes into the hash together with the window.
local function change(conv, field, value)
  conv[field] = value
  conv.changes = conv.changes or {}
  add(conv.changes, field, value)
end

local function introduce(conv)
  conv.peer = peer
  conv.changes = { 'ref', partition .. '-' .. name, 'gateway', sub(record, at_gateway, at_channel - 1),
                   'channel', sub(record, at_channel, at_peer - 1), 'peer', peer }
end

local function take_identity(conv)
  if not conv.peer then
    introduce(conv)
  elseif peer ~= conv.peer and (is_phone(peer) or not is_phone(conv.peer)) then
    change(conv, 'peer', peer)
  end
  if sender ~= conv.name and sender ~= '' then
    change(conv, 'name', sender)
  end
end

local function add_entry(conv, entry)
  if not conv.entry then
    conv.entry = entry
  else
    conv.more = conv.more or {}
    conv.more[#conv.more + 1] = entry
  end
end

local function store(conv, mark)
  if mark then
    payload = payload .. '\n' .. string.sub(mark, 2)
  end
  local depth, bytes = conv.depth + 1, conv.bytes + #payload
  local deadline_ms = min(now_ms + window_ms, (conv.opened_ms or now_ms) + max_wait_ms)
  local fired = conv.fired
  if fired then
    deadline_ms = conv.deadline_ms
  else
    fired = firing(depth, bytes)
    deadline_ms = fired and now_ms or deadline_ms
  end
  schedule(conv, deadline_ms, conv.fired)
  add_entry(conv, (flags >= TIMED and order or RECEIVED) .. RECEIVED .. rest .. payload)
  if at_payload > at_media then
    conv.media = conv.media or {}
    add(conv.media, fingerprint, sub(record, at_media, at_payload - 1))
  end
  if not conv.opened_ms then
    conv.opened_ms, conv.was_idle = now_ms, conv.peer
  end
  take_identity(conv)
  conv.depth, conv.bytes, conv.deadline_ms, conv.fired = depth, bytes, deadline_ms, fired
  return 'new', deadline_ms, depth
end

local function end_with(cause)
  ended[#ended + 1] = { ref = call('HGET', CONV .. name, 'ref') or nil, outcome = 'discarded', cause = cause, messages = 1 }
end

local function discard(conv)
  heal(conv)
  add(heals, number(conv, 'paused_until_ms'), name)
  end_with('takeover')
  return 'discarded', 0, 0
end

local function revoked(conv)
  heal(conv)
  conv.revoked = true
  end_with('revoke')
  return 'revoked', 0, 0
end

local function is_taken_over(conv)
  return paused(conv) and call('HGET', CONV .. name, 'pause_mode') == 'takeover'
end

-- What came before its original, 'r' for a revoke or 'e' with the edit, is used up by it.
local function take_new(conv)
  local mark = conv.marks and call('HGET', key('mark', name), fingerprint)
  if mark then
    conv.used = conv.used or {}
    conv.used[#conv.used + 1] = fingerprint
  end
  conv.fresh = (conv.fresh or '') .. record_of(fingerprint, nonce)
  if is_taken_over(conv) then
    return discard(conv)
  elseif mark == 'r' then
    return revoked(conv)
  end
  return store(conv, mark)
end

local function write_burst(name, conv)
  if conv.more then
    call('RPUSH', BUFFER .. name, conv.entry, unpack(conv.more))
  else
    call('RPUSH', BUFFER .. name, conv.entry)
  end
  if conv.changes then
    call('HSET', CONV .. name, 'window', pack_window(conv), unpack(conv.changes))
  else
    call('HSET', CONV .. name, 'window', pack_window(conv))
  end
  local left_ms = max(1, conv.deadline_ms - now_ms)
  if not conv.has_timer or call('PEXPIRE', TIMER .. name, left_ms) == 0 then
    call('PSETEX', TIMER .. name, left_ms, '')
  end
  if conv.was_idle then
    call('ZREM', key('idle'), name)
  end
  if conv.media then
    call('HSET', key('media', name), unpack(conv.media))
  end
end

local function write(name, conv, memories)
  if conv.entry then
    write_burst(name, conv)
  end
  if conv.fresh then
    memorise(name, conv.seen, conv.fresh, dedupe_ttl_ms, memories)
  end
  if conv.revoked then
    call('ZADD', key('idle'), 'XX', now_ms, name)
  end
  if conv.used then
    call('HDEL', key('mark', name), unpack(conv.used))
  end
end

local function write_lot()
  if #heals > 0 then
    call('ZADD', key('wake'), 'NX', unpack(heals))
  end
  if #wakes > 0 then
    call('ZADD', key('wake'), unpack(wakes))
  end
  local memories = {}
  for name, conv in pairs(convs) do
    write(name, conv, memories)
  end
  if #memories > 0 then
    call('MSET', unpack(memories))
  end
  for _, entry in ipairs(ended) do
    remember(entry)
  end
  convs, wakes, heals, ended = {}, {}, {}, {}
end

-- A person's other name is rare: the functions for it are made only then, not in every run. What this lot holds under
-- a name must be written before it moves.
local function meet_twin()
  -- include: entry
  -- include: window
  -- include: batch
  -- include: unite
  write_lot()
  local limits = { max_wait_ms = max_wait_ms, max_messages = max_messages, max_bytes = max_bytes,
                   dedupe_ttl_ms = dedupe_ttl_ms }
  name, has_aliases = unite(name, resolve(twin), limits), true
end

local function take()
  if max_age_ms > 0 and flags >= TIMED and struct.unpack('>I6', order) < now_ms - max_age_ms then
    return 'stale', 0, 0
  end
  if has_aliases or twin ~= NO_TWIN then
    name = resolve(name)
  end
  if twin ~= NO_TWIN then
    meet_twin()
  end
  local conv = look()
  local known = remembered(conv.seen, fingerprint, dedupe_ttl_ms)
    or conv.fresh and remembered(conv.fresh, fingerprint, dedupe_ttl_ms)
  if not known then
    return take_new(conv)
  end
  heal(conv)
  return known == nonce and 'new' or 'duplicate', conv.deadline_ms or 0, conv.depth, true
end

-- One string per message: the client packs and sends it several times faster than ten.
local function unpack_message()
  name, twin, nonce, order, rest, at_channel, at_peer, at_sender, at_media, at_payload, at_gateway =
    struct.unpack('>c16c16c4c6c13I4I4I4I4I4', record)
  at_channel = at_gateway + at_channel
  at_peer = at_channel + at_peer
  at_sender = at_peer + at_sender
  at_media = at_sender + at_media
  at_payload = at_media + at_payload
  flags, fingerprint = byte(rest), sub(rest, 6)
  peer, sender = sub(record, at_peer, at_sender - 1), sub(record, at_sender, at_media - 1)
  payload = sub(record, at_payload)
end

local records, replies = ARGV, {}
for i = 10, #records do
  record = records[i]
  unpack_message()
  local status, deadline_ms, depth, repeated = take()
  local total = repeated and status == 'new' and 'resent' or status
  totals[total] = totals[total] + 1
  local at = 3 * (i - 10)
  replies[at + 1], replies[at + 2], replies[at + 3] = status, deadline_ms, depth
  if (i - 9) % LOT_MAX == 0 then
    write_lot()
  end
end
write_lot()

count('accepted', totals.new)
count('duplicates', totals.duplicate)
count('discarded', totals.discarded + totals.revoked)
count('stale', totals.stale)
count('resent', totals.resent) -- no answer without a write: a wait behind this script must not be over at once
if nearest_ms < earliest_ms then
  announce()
end
return replies
