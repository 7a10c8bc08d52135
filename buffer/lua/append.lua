-- append: put messages into the open bursts of their conversations, many conversations of one partition in one call.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 partition   3 window_ms   4 max_wait_ms   5 max_messages   6 max_bytes
--          7 dedupe_ttl_ms  8 '1' when every message is its own flush
--          then one for each message, a record of: conversation hash (16 bytes) · fingerprint (8) · nonce (4) ·
--          'k' for a flush keyword or '-' · order_ms (13 digits, or blanks = when received) ·
--          lengths of the next four (unsigned, 4 bytes each) · gateway · channel · peer · name · JSON payload
-- returns  three for each message: 'new' | 'duplicate' | 'discarded' · deadline_ms · depth of the burst
-- touches  wake idle counters history · conv buffer seen timer
--
-- A message id that is remembered changes nothing, except that a lost wake entry is put back (invariant 8).
-- The wake entry is the first write: a full server refuses it, and then nothing was written (invariant 11).

-- include: entry
-- include: history

local partition, window_ms, max_wait_ms = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local max_messages, max_bytes, dedupe_ttl_ms = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local single = ARGV[8] == '1'
local RECORD = 16

local earliest_ms, nearest_ms = earliest(), math.huge
local totals = { new = 0, duplicate = 0, discarded = 0 }

-- The nonce under which a fingerprint is remembered, or nil; records older than the memory do not count.
local function remembered(seen, fingerprint)
  local from = 1
  while true do
    local at = string.find(seen, fingerprint, from, true)
    if not at then
      return nil
    end
    if (at - 1) % RECORD == 0 then
      local seconds = struct.unpack('>I4', string.sub(seen, at + 8, at + 11))
      if seconds * 1000 + dedupe_ttl_ms >= now_ms then
        return string.sub(seen, at + 12, at + 15)
      end
    end
    from = at + 1
  end
end

local function memorise(name, seen, fingerprint, nonce)
  local record = fingerprint .. struct.pack('>I4', math.ceil(now_ms / 1000)) .. nonce
  local keep = 1
  while keep <= #seen and struct.unpack('>I4', string.sub(seen, keep + 8, keep + 11)) * 1000 + dedupe_ttl_ms < now_ms do
    keep = keep + RECORD
  end
  if keep > 1 then
    redis.call('SET', key('seen', name), string.sub(seen, keep) .. record)
  else
    redis.call('APPEND', key('seen', name), record)
  end
end

local function heal(name, conv)
  if conv.flush_id or conv.redrive then
    redis.call('ZADD', key('wake'), 'NX', now_ms, name)
  elseif conv.opened_ms then
    redis.call('ZADD', key('wake'), 'NX', number(conv, 'deadline_ms'), name)
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

local function store(message, conv, seen)
  local name = message.name
  local depth = redis.call('LLEN', key('buffer', name)) + 1
  local opened_ms = conv.opened_ms and number(conv, 'opened_ms') or now_ms
  local bytes = number(conv, 'bytes') + #message.payload
  local deadline_ms = math.min(now_ms + window_ms, opened_ms + max_wait_ms)
  local fired = conv.fired
  if fired then
    deadline_ms = number(conv, 'deadline_ms')
  else
    fired = firing(message, depth, bytes)
    deadline_ms = fired and now_ms or deadline_ms
  end
  schedule(name, conv, deadline_ms, conv.fired)
  redis.call('RPUSH', key('buffer', name),
    pack_entry(message.order_ms or now_ms, now_ms, message.keyword, message.fingerprint, message.payload))
  local fields = { 'opened_ms', opened_ms, 'deadline_ms', deadline_ms, 'bytes', bytes }
  if fired then
    table.insert(fields, 'fired')
    table.insert(fields, fired)
  end
  if message.sender ~= '' then
    table.insert(fields, 'name')
    table.insert(fields, message.sender)
  end
  if not conv.ref then
    for _, value in ipairs({ 'ref', partition .. '-' .. name, 'gateway', message.gateway,
                             'channel', message.channel, 'peer', message.peer }) do
      table.insert(fields, value)
    end
  end
  redis.call('HSET', key('conv', name), unpack(fields))
  redis.call('ZREM', key('idle'), name)
  memorise(name, seen, message.fingerprint, message.nonce)
  redis.call('SET', key('timer', name), '', 'PX', math.max(1, deadline_ms - now_ms))
  return 'new', deadline_ms, depth
end

local function discard(message, conv, seen)
  heal(message.name, conv)
  redis.call('ZADD', key('wake'), 'NX', number(conv, 'paused_until_ms'), message.name)
  memorise(message.name, seen, message.fingerprint, message.nonce)
  remember({ ref = conv.ref, outcome = 'discarded', cause = 'takeover', messages = 1 })
  return 'discarded', 0, 0
end

local function take(message)
  local conv = read_conv(message.name)
  local seen = redis.call('GET', key('seen', message.name)) or ''
  local nonce = remembered(seen, message.fingerprint)
  if nonce then
    heal(message.name, conv)
    local status = nonce == message.nonce and 'new' or 'duplicate'
    return status, number(conv, 'deadline_ms'), redis.call('LLEN', key('buffer', message.name)), true
  elseif paused(conv) and conv.pause_mode == 'takeover' then
    return discard(message, conv, seen)
  end
  return store(message, conv, seen)
end

-- One string per message: the client packs and sends it several times faster than ten.
local function unpack_message(record)
  local name, fingerprint, nonce, keyword, order_ms, gateway, channel, peer, sender, at =
    struct.unpack('>c16c8c4c1c13I4I4I4I4', record)
  local function text(length)
    at = at + length
    return string.sub(record, at - length, at - 1)
  end
  return { name = name, fingerprint = fingerprint, nonce = nonce, keyword = keyword == 'k',
           order_ms = tonumber(order_ms), gateway = text(gateway), channel = text(channel), peer = text(peer),
           sender = text(sender), payload = string.sub(record, at) }
end

local replies = {}
for i = 9, #ARGV do
  local status, deadline_ms, depth, repeated = take(unpack_message(ARGV[i]))
  if not (repeated and status == 'new') then
    totals[status] = totals[status] + 1
  end
  table.insert(replies, status)
  table.insert(replies, deadline_ms)
  table.insert(replies, depth)
end

count('accepted', totals.new)
count('duplicates', totals.duplicate)
count('discarded', totals.discarded)
if nearest_ms < earliest_ms then
  announce()
end
return replies
