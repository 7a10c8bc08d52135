-- append: put messages into the open bursts of their conversations, many conversations of one partition in one call.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 partition   3 window_ms   4 max_wait_ms   5 max_messages   6 max_bytes
--          7 dedupe_ttl_ms  8 '1' when every message is its own flush   9 max_age_ms (0 = any age)
--          then one for each message, a record of: conversation hash (16 bytes) · hash of the person's other name
--          (16, blanks = none) · fingerprint (8) · nonce (4) · 'k' for a flush keyword or '-' · order_ms (13 digits,
--          or blanks = when received) · album (4, zeros = none) · lengths of the next five (unsigned, 4 bytes each) ·
--          gateway · channel · peer · name · inline media · JSON payload
-- returns  three for each message: 'new' | 'duplicate' | 'discarded' (a human has taken over) | 'revoked' (its revoke
--          came first) | 'stale' (older than max_age_ms) · deadline_ms · depth of the burst
-- touches  wake idle counters history alias · conv buffer batch seen timer lock media mark redrive
--
-- A message id that is remembered changes nothing, except that a lost wake entry is put back (invariant 8).
-- The wake entry is the first write: a full server refuses it, and then nothing was written (invariant 11).

-- include: entry
-- include: history
-- include: seen
-- include: window
-- include: batch
-- include: alias
-- include: unite

local partition, window_ms, max_wait_ms = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local max_messages, max_bytes, dedupe_ttl_ms = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local single = ARGV[8] == '1'
local max_age_ms = tonumber(ARGV[9])
local limits = { max_wait_ms = max_wait_ms, max_messages = max_messages, max_bytes = max_bytes,
                 dedupe_ttl_ms = dedupe_ttl_ms }

local NO_TWIN = string.rep(' ', 16)

local CONV, BUFFER, SEEN, TIMER = key('conv', ''), key('buffer', ''), key('seen', ''), key('timer', '')

local earliest_ms, nearest_ms = earliest(), math.huge
local has_aliases = redis.call('EXISTS', key('alias')) == 1
local totals = { new = 0, duplicate = 0, discarded = 0, revoked = 0, stale = 0, resent = 0 }

local function heal(name, conv)
  if conv.flush_id or conv.redrive then
    redis.call('ZADD', key('wake'), 'NX', now_ms, name)
  elseif conv.opened_ms then
    local field = paused(conv) and 'paused_until_ms' or 'deadline_ms'
    redis.call('ZADD', key('wake'), 'NX', number(conv, field), name)
  end
end

-- Why this message closes the burst at once, or nil.
local function firing(message, depth, bytes)
  if single then
    return 'disabled'
  elseif message.keyword then
    return 'keyword'
  elseif depth >= max_messages then
    return 'max_messages'
  elseif bytes >= max_bytes then
    return 'max_bytes'
  end
end

-- A deadline that has fired stays where it is, and so does its wake entry: it may be dispatched already.
local function schedule(name, conv, deadline_ms, fired_before)
  if conv.flush_id or conv.redrive or fired_before then
    redis.call('ZADD', key('wake'), 'NX', fired_before and deadline_ms or now_ms, name)
  elseif paused(conv) then
    wake(name, number(conv, 'paused_until_ms'))
  else
    wake(name, deadline_ms)
    nearest_ms = math.min(nearest_ms, deadline_ms)
  end
end

local function add(fields, field, value)
  fields[#fields + 1] = field
  fields[#fields + 1] = value
end

local function add_identity(fields, message, conv)
  if not conv.ref then
    add(fields, 'ref', partition .. '-' .. message.name)
    add(fields, 'gateway', message.gateway)
    add(fields, 'channel', message.channel)
    add(fields, 'peer', message.peer)
  elseif message.peer ~= conv.peer and (is_phone(message.peer) or not is_phone(conv.peer)) then
    add(fields, 'peer', message.peer)
  end
end

-- What came before its original, 'r' for a revoke or 'e' with the edit, is used up by it.
local function use_up(mark, message)
  if mark then
    redis.call('HDEL', key('mark', message.name), message.fingerprint)
  end
end

local function store(message, conv, seen, mark)
  local name = message.name
  local payload = mark and message.payload .. '\n' .. string.sub(mark, 2) or message.payload
  local depth = redis.call('LLEN', BUFFER .. name) + 1
  local opened_ms = conv.opened_ms and number(conv, 'opened_ms') or now_ms
  local bytes = number(conv, 'bytes') + #payload
  local deadline_ms = math.min(now_ms + window_ms, opened_ms + max_wait_ms)
  local fired = conv.fired
  if fired then
    deadline_ms = number(conv, 'deadline_ms')
  else
    fired = firing(message, depth, bytes)
    deadline_ms = fired and now_ms or deadline_ms
  end
  schedule(name, conv, deadline_ms, conv.fired)
  redis.call('RPUSH', BUFFER .. name, pack_entry(message, now_ms, payload))
  use_up(mark, message)
  if message.media ~= '' then
    redis.call('HSET', key('media', name), message.fingerprint, message.media)
  end
  local fields = { 'deadline_ms', deadline_ms, 'bytes', bytes }
  if fired then
    add(fields, 'fired', fired)
  end
  if message.sender ~= '' and message.sender ~= conv.name then
    add(fields, 'name', message.sender)
  end
  if not conv.opened_ms then
    add(fields, 'opened_ms', opened_ms)
    add_identity(fields, message, conv)
    if conv.ref then
      redis.call('ZREM', key('idle'), name)
    end
  elseif message.peer ~= conv.peer then
    add_identity(fields, message, conv)
  end
  redis.call('HSET', CONV .. name, unpack(fields))
  memorise(name, seen, message, dedupe_ttl_ms)
  redis.call('SET', TIMER .. name, '', 'PX', math.max(1, deadline_ms - now_ms))
  return 'new', deadline_ms, depth
end

local function discard(message, conv, seen, mark)
  heal(message.name, conv)
  redis.call('ZADD', key('wake'), 'NX', number(conv, 'paused_until_ms'), message.name)
  memorise(message.name, seen, message, dedupe_ttl_ms)
  use_up(mark, message)
  remember({ ref = conv.ref, outcome = 'discarded', cause = 'takeover', messages = 1 })
  return 'discarded', 0, 0
end

local function revoked(message, conv, seen, mark)
  heal(message.name, conv)
  memorise(message.name, seen, message, dedupe_ttl_ms)
  redis.call('ZADD', key('idle'), 'XX', now_ms, message.name)
  use_up(mark, message)
  remember({ ref = conv.ref, outcome = 'discarded', cause = 'revoke', messages = 1 })
  return 'revoked', 0, 0
end

local function take_new(message, conv, seen)
  local mark = conv.marks and redis.call('HGET', key('mark', message.name), message.fingerprint)
  if paused(conv) and conv.pause_mode == 'takeover' then
    return discard(message, conv, seen, mark)
  elseif mark == 'r' then
    return revoked(message, conv, seen, mark)
  end
  return store(message, conv, seen, mark)
end

local function take(message)
  if max_age_ms > 0 and message.order_ms and message.order_ms < now_ms - max_age_ms then
    return 'stale', 0, 0
  end
  if has_aliases or message.twin ~= NO_TWIN then
    message.name = resolve(message.name)
  end
  if message.twin ~= NO_TWIN then
    message.name, has_aliases = unite(message.name, resolve(message.twin), limits), true
  end
  local conv = read_conv(message.name)
  local seen = redis.call('GET', SEEN .. message.name) or ''
  local nonce = remembered(seen, message.fingerprint, dedupe_ttl_ms)
  if not nonce then
    return take_new(message, conv, seen)
  end
  heal(message.name, conv)
  local status = nonce == message.nonce and 'new' or 'duplicate'
  return status, number(conv, 'deadline_ms'), redis.call('LLEN', key('buffer', message.name)), true
end

-- One string per message: the client packs and sends it several times faster than ten.
local function unpack_message(record)
  local name, twin, fingerprint, nonce, keyword, order_ms, album, gateway, channel, peer, sender, media, at_gateway =
    struct.unpack('>c16c16c8c4c1c13c4I4I4I4I4I4', record)
  local at_channel = at_gateway + gateway
  local at_peer = at_channel + channel
  local at_sender = at_peer + peer
  local at_media = at_sender + sender
  local at_payload = at_media + media
  return {
    name = name, twin = twin, fingerprint = fingerprint, nonce = nonce, album = album,
    keyword = keyword == 'k', order_ms = tonumber(order_ms),
    gateway = string.sub(record, at_gateway, at_channel - 1), channel = string.sub(record, at_channel, at_peer - 1),
    peer = string.sub(record, at_peer, at_sender - 1), sender = string.sub(record, at_sender, at_media - 1),
    media = string.sub(record, at_media, at_payload - 1), payload = string.sub(record, at_payload),
  }
end

local replies = {}
for i = 10, #ARGV do
  local status, deadline_ms, depth, repeated = take(unpack_message(ARGV[i]))
  local total = repeated and status == 'new' and 'resent' or status
  totals[total] = totals[total] + 1
  local at = #replies
  replies[at + 1], replies[at + 2], replies[at + 3] = status, deadline_ms, depth
end

count('accepted', totals.new)
count('duplicates', totals.duplicate)
count('discarded', totals.discarded + totals.revoked)
count('stale', totals.stale)
count('resent', totals.resent) -- no answer without a write: a wait behind this script must not be over at once
if nearest_ms < earliest_ms then
  announce()
end
return replies
