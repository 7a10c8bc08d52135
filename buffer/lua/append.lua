-- append: put messages into the open bursts of their conversations, many conversations of one partition in one call.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 partition   3 window_ms   4 max_wait_ms   5 max_messages   6 max_bytes
--          7 dedupe_ttl_ms  8 '1' when every message is its own flush   9 max_age_ms (0 = any age)
--          then one record for each message; include/record.lua has its layout
-- returns  three for each message: 'new' | 'duplicate' | 'discarded' (a human has taken over) | 'revoked' (its revoke
--          came first) | 'stale' (older than max_age_ms) | 'broken' (a key of the conversation is damaged: nothing of
--          it was stored) · deadline_ms · depth of the burst
-- touches  wake idle counters history alias · conv buffer batch seen timer lock media mark redrive
--
-- A message id that is in the seen set changes nothing, except that a lost wake entry is put back
-- (docs/invariants.md#8).
-- The script first decides about every message, then writes each conversation once. The wake entries are the first
-- write: a full server refuses them, and then nothing was written (invariant 11). It checks all keys of a conversation
-- before the first write, so that a damaged one stops nothing but its own messages.

-- include: history
-- include: seen
-- include: alias

local partition, window_ms, max_wait_ms = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local max_messages, max_bytes, dedupe_ttl_ms = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local single = ARGV[8] == '1'
local max_age_ms = tonumber(ARGV[9])

local MESSAGES_PER_WRITE = 100 -- Lua's unpack passes only some thousand values to one command
local NO_ALIAS = string.rep(' ', 16)

local CONV, BUFFER, SEEN, TIMER = key('conv', ''), key('buffer', ''), key('seen', ''), key('timer', '')

local KEYWORD, TIMED = 1, 4 -- flags of a stored message; include/entry.lua has its layout
local RECEIVED = struct.pack('>I6', now_ms)

local first_wake_ms, nearest_ms = wake_first_ms(), math.huge
local has_aliases = call('EXISTS', key('alias')) == 1
local totals = { new = 0, duplicate = 0, discarded = 0, revoked = 0, stale = 0, resent = 0, broken = 0 }

-- To be written: the conversations as they will be · wake entries to set · wake entries to put back if they are lost ·
-- discards to record.
local convs, wakes, repairs, discards = {}, {}, {}, {}
local BROKEN = 'broken' -- stands for a conversation with a damaged key

-- The message that is appended; at_… are offsets in its record.
local record, name, alias, nonce, order, flags, rest, fingerprint, peer, sender, payload
local at_gateway, at_channel, at_peer, at_sender, at_media, at_payload

local function add(list, first, second)
  local at = #list
  list[at + 1], list[at + 2] = first, second
end


---- decide per message ----

-- Return the conversation as its keys hold it, or BROKEN if one of them is damaged: a claim looks at it then.
local function load_conversation()
  local conv = convs[name]
  if conv then
    return conv
  end
  local seen, depth = try('GET', SEEN .. name) or '', try('LLEN', BUFFER .. name)
  local flat = try('HMGET', CONV .. name, 'window', 'flush_id', 'redrive', 'paused_until_ms', 'marks', 'peer', 'name')
  if flat.err or seen.err or #seen % SEEN_RECORD > 0 or type(depth) == 'table'
    or flat[5] and type(try('HLEN', key('mark', name))) == 'table' or flat[1] and #flat[1] < WINDOW_SIZE then
    conv = BROKEN
  else
    conv = { is_busy = flat[2] or flat[3], paused_until_ms = flat[4], has_pending_changes = flat[5], peer = flat[6],
             name = flat[7], seen = seen, bytes = 0, depth = depth, has_timer = flat[1] }
    if flat[1] then
      unpack_window(conv, flat[1])
      conv = conv.depth == depth and conv or BROKEN
    end
  end
  if conv == BROKEN then
    add(repairs, now_ms, name)
  end
  convs[name] = conv
  return conv
end

local function repair_wake(conv)
  if conv.is_busy then
    add(repairs, now_ms, name)
  elseif conv.opened_ms then
    add(repairs, paused(conv) and number(conv, 'paused_until_ms') or conv.deadline_ms, name)
  end
end

-- Return why this message closes the burst at once, or nil.
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

-- A deadline that has fired never moves. Nor does its wake entry: the conversation may be dispatched already.
local function schedule(conv, deadline_ms, fired_before)
  if conv.is_busy or fired_before then
    add(repairs, fired_before and deadline_ms or now_ms, name)
  elseif paused(conv) then
    add(wakes, number(conv, 'paused_until_ms'), name)
  else
    add(wakes, deadline_ms, name)
    nearest_ms = min(nearest_ms, deadline_ms)
  end
end

-- Change a field of the conv hash; it is written together with the window.
local function change(conv, field, value)
  conv[field] = value
  conv.changes = conv.changes or {}
  add(conv.changes, field, value)
end

local function set_identity(conv)
  conv.peer = peer
  conv.changes = { 'ref', partition .. '-' .. name, 'gateway', sub(record, at_gateway, at_channel - 1),
                   'channel', sub(record, at_channel, at_peer - 1), 'peer', peer }
end

local function update_identity(conv)
  if not conv.peer then
    set_identity(conv)
  elseif peer ~= conv.peer and (is_phone(peer) or not is_phone(conv.peer)) then
    change(conv, 'peer', peer)
  end
  if sender ~= conv.name and sender ~= '' then
    change(conv, 'name', sender)
  end
end

-- Most calls bring one message for a conversation: only a second one needs a table.
local function add_entry(conv, entry)
  if not conv.entry then
    conv.entry = entry
  else
    conv.more = conv.more or {}
    conv.more[#conv.more + 1] = entry
  end
end

-- Add the message to the open burst, or open one. `edit` is the edit that came before the message, or nil.
local function add_to_burst(conv, edit)
  if edit then
    payload = payload .. '\n' .. string.sub(edit, 2)
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
  update_identity(conv)
  conv.depth, conv.bytes, conv.deadline_ms, conv.fired = depth, bytes, deadline_ms, fired
  return 'new', deadline_ms, depth
end

local function record_discard(cause)
  discards[#discards + 1] = { ref = call('HGET', CONV .. name, 'ref') or nil, outcome = 'discarded', cause = cause,
                              messages = 1 }
end

local function discard_taken_over(conv)
  repair_wake(conv)
  add(repairs, number(conv, 'paused_until_ms'), name)
  record_discard('takeover')
  return 'discarded', 0, 0
end

local function discard_revoked(conv)
  repair_wake(conv)
  conv.was_revoked = true
  record_discard('revoke')
  return 'revoked', 0, 0
end

local function is_taken_over(conv)
  return paused(conv) and call('HGET', CONV .. name, 'pause_mode') == 'takeover'
end

-- A pending change is 'r' for a revoke, or 'e' and the edit. Its message uses it up.
local function append_new(conv)
  local pending_change = conv.has_pending_changes and call('HGET', key('mark', name), fingerprint)
  if pending_change then
    conv.used_changes = conv.used_changes or {}
    conv.used_changes[#conv.used_changes + 1] = fingerprint
  end
  conv.fresh = (conv.fresh or '') .. seen_record(fingerprint, nonce)
  if is_taken_over(conv) then
    return discard_taken_over(conv)
  elseif pending_change == 'r' then
    return discard_revoked(conv)
  end
  return add_to_burst(conv, pending_change)
end


---- write per conversation ----

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
    try('ZREM', key('idle'), name)
  end
  if conv.media then
    call('HSET', key('media', name), unpack(conv.media))
  end
end

local function write_conversation(name, conv, seen_rewrites)
  if conv.entry then
    write_burst(name, conv)
  end
  if conv.fresh then
    seen_add(name, conv.seen, conv.fresh, dedupe_ttl_ms, seen_rewrites)
  end
  if conv.was_revoked and call('TYPE', key('idle')).ok == 'zset' then
    call('ZADD', key('idle'), 'XX', now_ms, name)
  end
  if conv.used_changes then
    call('HDEL', key('mark', name), unpack(conv.used_changes))
  end
end

local function write_conversations()
  if #repairs > 0 then
    call('ZADD', key('wake'), 'NX', unpack(repairs))
  end
  if #wakes > 0 then
    call('ZADD', key('wake'), unpack(wakes))
  end
  local seen_rewrites = {}
  for name, conv in pairs(convs) do
    if conv ~= BROKEN then
      write_conversation(name, conv, seen_rewrites)
    end
  end
  if #seen_rewrites > 0 then
    call('MSET', unpack(seen_rewrites))
  end
  history_push(unpack(discards))
  convs, wakes, repairs, discards = {}, {}, {}, {}
end


---- main ----

-- Few messages name an alias: the included functions are made only for those, not in every call. Conversations are
-- written before one of them moves.
local function merge_alias()
  -- include: damage
  -- include: entry
  -- include: window
  -- include: batch
  -- include: stop
  -- include: merge
  write_conversations()
  local other = resolve(alias)
  if other ~= name and (damage(name) or damage(other)) then
    convs[name] = BROKEN
    add(repairs, now_ms, name)
    add(repairs, now_ms, other)
    return
  end
  local limits = { max_wait_ms = max_wait_ms, max_messages = max_messages, max_bytes = max_bytes,
                   dedupe_ttl_ms = dedupe_ttl_ms }
  name, has_aliases = merge_conversations(name, other, limits), true
end

-- Return status, deadline_ms and depth, and true if the message id is in the seen set.
local function append_message()
  if max_age_ms > 0 and flags >= TIMED and struct.unpack('>I6', order) < now_ms - max_age_ms then
    return 'stale', 0, 0
  end
  if has_aliases or alias ~= NO_ALIAS then
    name = resolve(name)
  end
  if alias ~= NO_ALIAS then
    merge_alias()
  end
  local conv = load_conversation()
  if conv == BROKEN or at_payload > at_media and type(try('HLEN', key('media', name))) == 'table' then
    return 'broken', 0, 0
  end
  local known = seen_nonce(conv.seen, fingerprint, dedupe_ttl_ms)
    or conv.fresh and seen_nonce(conv.fresh, fingerprint, dedupe_ttl_ms)
  if not known then
    return append_new(conv)
  end
  repair_wake(conv)
  return known == nonce and 'new' or 'duplicate', conv.deadline_ms or 0, conv.depth, true
end

-- include: record

local records, replies = ARGV, {}
for i = 10, #records do
  record = records[i]
  unpack_record()
  local status, deadline_ms, depth, repeated = append_message()
  local total = repeated and status == 'new' and 'resent' or status
  totals[total] = totals[total] + 1
  local at = 3 * (i - 10)
  replies[at + 1], replies[at + 2], replies[at + 3] = status, deadline_ms, depth
  if (i - 9) % MESSAGES_PER_WRITE == 0 then
    write_conversations()
  end
end
write_conversations()

count('accepted', totals.new)
count('duplicates', totals.duplicate)
count('discarded', totals.discarded + totals.revoked)
count('stale', totals.stale)
count('broken', totals.broken)
count('resent', totals.resent) -- every call must write: WAIT covers only the last write of its own connection
if nearest_ms < first_wake_ms then
  wake_announce()
end
return replies
