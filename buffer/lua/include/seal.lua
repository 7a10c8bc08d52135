-- Seals the open burst of the conversation that is claimed: moves its messages into a batch that never changes again.
-- The messages that came first make the batch, and stand in it by their timestamps: so only the head of the list is
-- read, and a claim costs what it takes, however much waits behind.
-- Needs `entry`, `window` and `tally`, and these variables of claim.lua: name, conv, set, separator, single, max_messages,
-- max_bytes, max_wait_ms.

local ARRIVALS_MAX = 12
local TURN_GAP_MS = 60000 -- include/burst.lua has the same
local TURN_SPLIT, HELD, RESTARTED = 1, 2, 4 -- flags of the burst; include/prelude.lua has the layout

-- Never cut inside an album: move the cut before its first message, unless nothing would be left. An album at the end
-- of the burst counts as unfinished, because its next message may not be here yet.
local function whole_albums(entries, size)
  local album, behind = album_of(entries[size]), entries[size + 1]
  if album == NO_ALBUM or (behind and album ~= album_of(behind)) then
    return size
  end
  local first = size
  while first > 1 and album_of(entries[first - 1]) == album do
    first = first - 1
  end
  return first > 1 and first - 1 or size
end

-- Return how many entries the batch may hold. Both caps limit it, but the first message always fits.
local function fitting(entries)
  local bytes = 0
  for i, entry in ipairs(entries) do
    bytes = bytes + size_of(entry)
    if i > 1 and (i > max_messages or bytes > max_bytes) then
      return whole_albums(entries, i - 1)
    end
  end
  local is_cut_short = conv.fired == 'max_messages' or conv.fired == 'max_bytes'
  return is_cut_short and whole_albums(entries, #entries) or #entries
end

local function closing_reason()
  if conv.fired then
    return conv.fired
  elseif number(conv, 'deadline_ms') >= number(conv, 'opened_ms') + max_wait_ms then
    return 'max_wait'
  end
  return 'quiet'
end

-- The time of receipt of an entry; of one that cannot be read, now.
local function receipt_of(entry)
  return is_readable(entry) and received_of(entry) or now_ms
end

local function bytes_of(batch)
  local bytes = 0
  for _, entry in ipairs(batch) do
    bytes = bytes + size_of(entry)
  end
  return bytes
end

-- Make a new window of the entries that did not fit, which hold `bytes`. It opened when the first of them was received, and
-- has the quiet time of the burst.
-- Of a long remainder only as many as the next batch holds are read: it is due at once.
local function reopen(bytes)
  local head, keyword = call('LRANGE', key('buffer', name), 0, max_messages - 1), false
  for _, entry in ipairs(head) do
    keyword = keyword or keyword_of(entry)
  end
  local depth, last = call('LLEN', key('buffer', name)), call('LINDEX', key('buffer', name), -1)
  local opened_ms = receipt_of(head[1])
  local deadline_ms = math.min(receipt_of(last) + conv.window_ms, opened_ms + max_wait_ms)
  local fired = single and 'disabled' or keyword and 'keyword' or depth >= max_messages and 'max_messages'
    or bytes >= max_bytes and 'max_bytes'
  conv.opened_ms, conv.deadline_ms = opened_ms, fired and now_ms or deadline_ms
  conv.bytes, conv.depth, conv.last_ms, conv.fired = bytes, depth, receipt_of(last), fired or nil
  conv.flags = bit.band(conv.flags, 255 - HELD - RESTARTED)
  write_window(name, conv)
  call('SET', key('timer', name), '', 'PX', math.max(1, conv.deadline_ms - now_ms))
end

-- Return the first `size` entries, sorted by order_ms. Entries with the same order_ms keep the order of arrival. Those
-- that cannot be read stand last: the worker leaves them out and counts them.
local function in_order(entries, size)
  local places, orders, unreadable = {}, {}, nil
  for i = 1, size do
    local entry, order, received = entries[i], 0, math.huge
    if #entry > ENTRY_HEADER then
      order, received = struct.unpack('>I6I6', entry)
    end
    if received < RECEIVED_MAX then
      places[#places + 1], orders[i] = i, order
    else
      unreadable = unreadable or {}
      unreadable[#unreadable + 1] = i
    end
  end
  table.sort(places, function(a, b)
    local first, second = orders[a], orders[b]
    return first < second or (first == second and a < b)
  end)
  for _, place in ipairs(unreadable or {}) do
    places[#places + 1] = place
  end
  for i, place in ipairs(places) do
    places[i] = entries[place]
  end
  return places
end

-- The messages of the window are gone. Record as many as it counted.
local function discard_lost_window()
  -- include: history
  -- include: record_discard
  record_discard(conv, 'lost', conv.depth, conv.opened_ms)
  conv.ended = { '', 'lost', '', conv.depth, 0, '', conv.gateway or '', conv.channel or '', conv.peer or '' }
  if conv.taken_back then
    local cause = 'lost'
    -- include: end_taken_back
  end
  forget_window(name)
end

-- Record the batches that this one replaces.
local function record_superseded(taken, flush_id)
  -- include: history
  for i = 4, #taken do
    local record = taken[i]
    record[#record + 1] = 'successor'
    record[#record + 1] = flush_id
    history_push(unpack(record))
  end
  call('HDEL', key('conv', name), 'taken_back')
end

-- Count what a cap leaves of a turn, as append counts it if the cap is sealed before the next message comes.
local function count_split()
  local is_first = bit.band(conv.flags, TURN_SPLIT) == 0
  tally(conv, 'bursts_split', 1, 'turns_split', is_first and 1 or 0)
  conv.flags = bit.bor(conv.flags, TURN_SPLIT)
end

-- Return the span of a batch: when its messages came. Numbers are unsigned and big-endian: last_ms, the receipt of its
-- last message (6) · opened_ms of its burst (6) · when it could first be claimed, in ms since opened_ms (4) · when it was,
-- now (4) · window_ms, why and flags of its burst (4, 1, 1) · the lowest three bytes of the receipts of its first messages.
-- At rest, after the ack: last_ms (6) · acked_ms (6) · flags (1).
-- It is shorter than 64 bytes: a hash with a longer value takes more memory and time.
local function span_of(entries, size, last_ms)
  local opened_ms, arrivals = conv.opened_ms, ''
  for i = 1, min(size, ARRIVALS_MAX) do
    arrivals = arrivals .. sub(entries[i], 10, 12)
  end
  return struct.pack('>I6I6I4I4I4BB', last_ms, opened_ms, max(0, conv.due_ms - opened_ms),
    max(0, now_ms - opened_ms), conv.window_ms, conv.why, conv.flags) .. arrivals
end

-- Return the sealed messages, or nothing if there are none. A failover may roll the seal back, and the next one must
-- then give the same flush_id with the same bytes, or another flush_id. So all fields follow from the window, not from
-- the time of this call, and the flush_id holds a digest of everything that goes into the agent's request.
local function seal()
  local entries = call('LRANGE', key('buffer', name), 0, max_messages) -- one more than fits: an album may go on
  if #entries == 0 then
    return discard_lost_window()
  end
  local size = fitting(entries)
  local reason, sealed_name, sealed_peer = closing_reason(), conv.name or '', conv.peer
  local batch, prints = in_order(entries, size), { reason, separator, sealed_peer, sealed_name }
  local taken = conv.taken_back and cmsgpack.unpack(conv.taken_back) or { nil, 0, 0 } -- include/rejoin.lua has its layout
  prints[5] = taken[1]
  for _, entry in ipairs(batch) do
    table.insert(prints, fingerprint_of(entry) .. edit_of(entry))
    if not conv.has_media and has_media(entry) then
      set({ has_media = '1' })
    end
  end
  local last_ms = receipt_of(entries[size])
  local closed_ms = math.max(number(conv, 'deadline_ms'), last_ms)
  local generation = math.max(number(conv, 'generation') + 1, closed_ms)
  local digest = string.sub(redis.sha1hex(table.concat(prints, '\0')), 1, 12)
  local acked_ms = conv.span and #conv.span == ACKED_SPAN and struct.unpack('>I6', conv.span, 7) or 0
  conv.due_ms = min(now_ms, max(conv.deadline_ms, acked_ms, conv.held_until_ms or 0, taken[3]))
  conv.wait_ms = max(0, now_ms - last_ms)
  local span = span_of(entries, size, last_ms)
  local length
  for i = 1, size, 1000 do
    length = call('RPUSH', key('batch', name), unpack(batch, i, math.min(i + 999, size)))
  end
  if length > size then -- the list held messages that no batch tells of; they are no part of this one
    for _, entry in ipairs(call('LRANGE', key('batch', name), 0, length - size - 1)) do
      call('RPUSH', key('sick', 'stale:' .. name), entry)
    end
    call('LTRIM', key('batch', name), -size, -1)
    count('sick', 1)
  end
  set({ flush_id = conv.ref .. '-' .. string.format('%d', generation) .. '-' .. digest, generation = generation,
        reason = reason, closed_ms = closed_ms, separator = separator, sealed_name = sealed_name,
        sealed_peer = sealed_peer, claims = 0, failures = 0, crashes = taken[2], span = span, supersedes = taken[1] })
  if conv.taken_back then
    record_superseded(taken, conv.flush_id)
  end
  if size < #entries then
    call('LTRIM', key('buffer', name), size, -1)
    if not single and receipt_of(entries[size + 1]) - last_ms <= TURN_GAP_MS then
      count_split()
    end
    reopen(max(0, conv.bytes - bytes_of(batch)))
  else
    forget_window(name)
  end
  return batch
end
