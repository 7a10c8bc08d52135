-- append: put messages into the open bursts of their conversations, many conversations of one partition in one call.
--
-- KEYS[1]  root of the partition
-- ARGV     1 now_ms or ''   2 partition   3 max_wait_ms   4 max_messages   5 max_bytes   6 dedupe_ttl_ms
--          7 '' or what few routes have (include/special.lua)   8 max_age_ms (0 = any age)
--          9 ids that a generation of the partition's memory holds   10 max_pending
--          then one record for each message; include/record.lua has its layout
-- returns  three for each message: 'new' | 'duplicate' | 'discarded' (a human has taken over) | 'revoked' (its revoke
--          came first) | 'stale' (older than max_age_ms) | 'broken' (a key of the conversation is damaged: nothing of
--          it was stored) | 'full' (max_pending messages wait already) · deadline_ms · depth of the burst
-- touches  wake idle uncounted tally channels counters history alias ids · conv buffer batch seen slabs timer lock media mark redrive
--
-- A message id that is in the seen set changes nothing, except that a lost wake entry is put back
-- (docs/invariants.md#8). If the ids of a gateway are unique in a channel, a known id under another name of the person
-- merges the two conversations.
-- The script first decides about every message, then writes each conversation once. The wake entries are the first
-- write: a full server refuses them, and then nothing was written (invariant 11). It checks all keys of a conversation
-- before the first write, so that a damaged one stops nothing but its own messages. What it counts it only writes down,
-- all in one write: include/fold.lua adds it up.

-- include: seen
-- include: alias

local partition, max_wait_ms, max_messages = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local max_bytes, dedupe_ttl_ms = tonumber(ARGV[5]), tonumber(ARGV[6])
local single, restarts_max, own_min_ms, own_max_ms, first_ms, typing_ms, rules = false, 0, 0, 0, nil, nil, nil
if ARGV[7] ~= '' then
  -- include: special
end
local max_age_ms, ids_max, max_pending = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local FIRST = 11 -- the first record
local ID_AT, ID_END = 43, 54 -- in a record; its last byte is 0 if the message id is unique in its conversation only
local CHANNEL_LENGTH = 3 -- bytes

local MESSAGES_PER_WRITE = 100 -- Lua's unpack passes only some thousand values to one command
local NO_ALIAS = string.rep(' ', 16)

-- What is read of a conversation: the last two only where they count.
local FIELDS = { 'window', 'flush_id', 'redrive', 'paused_until_ms', 'marks', 'peer', 'name', 'span',
                 (own_max_ms > 0 or typing_ms) and 'habits' or nil, typing_ms and 'presence_ms' or nil }

local CONV, BUFFER, SEEN, TIMER = key('conv', ''), key('buffer', ''), key('seen', ''), key('timer', '')

local DISPATCHER_SLEEP_MS = 2000 -- no dispatcher sleeps so long (SLEEP_MAX_S): it finds a later deadline by itself
local TIMED = 4 -- a flag of a stored message; include/entry.lua has its layout
local RECEIVED = struct.pack('>I6', now_ms)

local nearest_ms = math.huge
local has_aliases = call('EXISTS', key('alias')) == 1
local resent = 0
-- What this call counts, to be written as runs (include/fold.lua): a code for each message, and where in this list
-- messages of another channel begin. A channel is here as in a run: behind its length.
local codes, channels, starts, coded, channel = {}, {}, {}, 0, nil

-- To be written: the conversations as they will be · wake entries to set · wake entries to put back if they are lost ·
-- discards to record · ids to remember.
local convs, wakes, repairs, discards, new_ids = {}, {}, {}, {}, {}
local owners -- of the ids of this call: the conversations that brought them
local BROKEN = 'broken' -- stands for a conversation with a damaged key

-- The message that is appended; at_… are offsets in its record.
local record, name, alias, nonce, order, flags, id, fingerprint, window_ms, why, peer, sender
local at_gateway, at_channel, at_peer, at_sender, at_media, at_body

local function add(list, first, second)
  local at = #list
  list[at + 1], list[at + 2] = first, second
end


---- decide per message ----

-- Find out when the person spoke last, for the gap to the next message. `span` is that of the last batch, and
-- include/seal.lua has its layout. After an answer that the person has read, a gap is known up to that moment only.
local function look_back(conv, span, has_batch)
  local ANSWER_READ_MS = 3000 -- a message so soon after the ack was written before the answer was read
  local sealed_ms, acked_ms = struct.unpack('>I6I6', span)
  local last_ms = conv.opened_ms and conv.last_ms or sealed_ms
  local has_read = #span == ACKED_SPAN and not has_batch and acked_ms > last_ms and now_ms - acked_ms > ANSWER_READ_MS
  conv.last_ms = last_ms
  if has_read then
    conv.read_ms = acked_ms + ANSWER_READ_MS
  end
  if not conv.opened_ms and (byte(span, #span == ACKED_SPAN and 13 or 26) or 0) % 2 == 1 then
    conv.flags = 1 -- the turn goes on, the burst does not
  end
end

-- Return the conversation as its keys hold it, or BROKEN if one of them is damaged: a claim looks at it then.
local function load_conversation()
  local conv = convs[name]
  if conv then
    return conv
  end
  local conv_key, buffer_key = CONV .. name, BUFFER .. name
  local seen, depth = try('GET', SEEN .. name) or '', try('LLEN', buffer_key)
  local flat = try('HMGET', conv_key, unpack(FIELDS))
  if flat.err or seen.err or #seen % SEEN_RECORD > 0 and not slabs_steps().count(name, seen)
    or depth ~= 0 and type(depth) == 'table'
    or flat[5] and type(try('HLEN', key('mark', name))) == 'table' or flat[1] and #flat[1] < WINDOW_SIZE then
    conv = BROKEN
  else
    -- A table of more than 16 fields is dear, and so is one that grows. So some fields are named already here, and what
    -- few conversations have is set for those only.
    conv = { key = conv_key, buffer_key = buffer_key, seen = seen, bytes = 0, depth = depth, peer = flat[6],
             name = flat[7], opened_ms = nil, deadline_ms = nil, entry = nil }
    if flat[2] or flat[3] then
      conv.is_busy = true
    end
    if flat[4] or flat[5] or flat[9] or flat[10] then
      conv.paused_until_ms, conv.has_pending_changes, conv.habits, conv.presence_ms = flat[4], flat[5], flat[9], flat[10]
    end
    if flat[1] then
      conv.has_timer = true
      unpack_window(conv, flat[1])
      conv = conv.depth == depth and conv or BROKEN
    end
    if flat[8] and #flat[8] >= ACKED_SPAN and conv ~= BROKEN then
      look_back(conv, flat[8], flat[2])
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

-- include: burst

local function discard(conv, cause)
  repair_wake(conv)
  discards[#discards + 1] = { 'ref', call('HGET', CONV .. name, 'ref') or '',
                              'gateway', sub(record, at_gateway, at_channel - 2),
                              'channel', sub(record, at_channel, at_peer - 1), 'peer', peer, 'outcome', 'discarded',
                              'cause', cause, 'messages', 1 }
end

-- Return status, deadline_ms and depth, and the code by which the message is counted (include/fold.lua).
-- A pending change is 'r' for a revoke, or 'e' and the edit. Its message uses it up.
local function append_new(conv)
  local DISCARDED = 25
  local pending_change = conv.has_pending_changes and call('HGET', key('mark', name), fingerprint)
  if pending_change then
    conv.used_changes = conv.used_changes or {}
    conv.used_changes[#conv.used_changes + 1] = fingerprint
  end
  local seen_now = seen_record(fingerprint, nonce)
  conv.fresh = conv.fresh and conv.fresh .. seen_now or seen_now
  if alias == NO_ALIAS and byte(id, 12) > 0 then
    local at = #new_ids
    owners[id], new_ids[at + 1], new_ids[at + 2] = name, id, name
  end
  if conv.paused_until_ms and paused(conv) and call('HGET', CONV .. name, 'pause_mode') == 'takeover' then
    discard(conv, 'takeover')
    add(repairs, number(conv, 'paused_until_ms'), name)
    return 'discarded', 0, 0, DISCARDED
  elseif pending_change == 'r' then
    discard(conv, 'revoke')
    conv.was_revoked = true
    return 'revoked', 0, 0, DISCARDED
  end
  return add_to_burst(conv, pending_change)
end


-- Return the nonce of the message if its conversation remembers it.
local function find_nonce(conv)
  return seen_nonce(name, conv.seen, fingerprint, dedupe_ttl_ms)
    or conv.fresh and seen_nonce(name, conv.fresh, fingerprint, dedupe_ttl_ms)
end


---- write per conversation ----

-- include: write

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
  if #new_ids > 0 then
    -- include: ids
    add_ids(new_ids, ids_max)
  end
  if #discards > 0 then
    -- include: history
    for _, discarded in ipairs(discards) do
      history_push(unpack(discarded))
    end
  end
  convs, wakes, repairs, discards, new_ids = {}, {}, {}, {}, {}
end


---- main ----

local records, replies = ARGV, {}
local ids = {}
for i = FIRST, #records do
  if byte(records[i], ID_END) > 0 then
    ids[#ids + 1] = sub(records[i], ID_AT, ID_END)
  end
end
if #ids > 0 then
  -- include: ids
  owners = owners_of(ids)
end
for i = FIRST, #records do
  record = records[i]
  -- include: record
  local status, deadline_ms, depth, code = nil, 0, 0, nil
  if max_age_ms > 0 and flags >= TIMED and struct.unpack('>I6', order) < now_ms - max_age_ms then
    status, code = 'stale', 26
  else
    -- include: append_one
  end
  if code then
    local this_channel = sub(record, at_gateway - CHANNEL_LENGTH, at_peer - 1)
    coded = coded + 1
    codes[coded] = code
    if this_channel ~= channel or coded % MESSAGES_PER_WRITE == 0 then
      channel = this_channel
      channels[#channels + 1], starts[#starts + 1] = channel, coded
    end
  else
    resent = resent + 1
  end
  local at = 3 * (i - FIRST)
  replies[at + 1], replies[at + 2], replies[at + 3] = status, deadline_ms, depth
  if (i - FIRST + 1) % MESSAGES_PER_WRITE == 0 then
    write_conversations()
  end
end
write_conversations()

-- Every call must write: WAIT covers only the last write of its own connection.
-- include: note_counts
count('resent', resent)
if nearest_ms - now_ms < DISPATCHER_SLEEP_MS and wake_first_ms() == nearest_ms then
  wake_announce()
end
return replies
