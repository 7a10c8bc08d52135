-- Takes a superseded batch back: its messages stand in the open burst again, which lies in the order of receipt, and it is
-- no batch any more. They stand first, unless the burst holds what its person had said before under another name.
-- Needs `tally`, `buckets`, `history` and `batch`.
--
-- The field `taken_back` of the conv hash, until the open burst is sealed or discarded, a list in MessagePack:
-- the flush_ids that it replaces, with blanks between, oldest first · how often their workers died · when the last of them
-- was taken back (ms) · then the history record of each that was taken back since the last seal, without its successor

-- include: entry
-- include: record_discard

-- Return the messages by their receipt, as they stood in the open burst.
local function by_arrival(entries)
  local places, moved = {}, {}
  for i, entry in ipairs(entries) do
    places[i] = { is_readable(entry) and received_of(entry) or RECEIVED_MAX, i }
  end
  table.sort(places, function(a, b)
    return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2])
  end)
  for i, place in ipairs(places) do
    moved[i] = entries[place[2]]
  end
  return moved
end

-- Return the message with an edit that came since it was taken back, or without change.
local function with_edit(entry, edit)
  local at = string.find(entry, '\n', ENTRY_HEADER + 1, true)
  if at and sub(entry, at + 1, at + 13) > sub(edit, 1, 13) then
    return entry
  end
  return sub(entry, 1, at and at - 1 or -1) .. '\n' .. edit
end

-- Return the messages that go back, and those that were revoked since the batch was taken back.
local function after_changes(name, conv, entries)
  local left, revoked, used = {}, {}, {}
  for _, entry in ipairs(entries) do
    local pending_change = conv.marks and call('HGET', key('mark', name), fingerprint_of(entry))
    if pending_change then
      used[#used + 1] = fingerprint_of(entry)
    end
    if pending_change == 'r' then
      revoked[#revoked + 1] = entry
    else
      left[#left + 1] = pending_change and with_edit(entry, sub(pending_change, 2)) or entry
    end
  end
  return left, revoked, used
end

-- Return for each message that goes back the one of the open burst that was received after it, or false for none.
local function places_of(name, left)
  local at, open, places = 0, call('LINDEX', key('buffer', name), 0), {}
  for i, entry in ipairs(left) do
    while open and is_readable(open) and is_readable(entry) and received_of(open) < received_of(entry) do
      at = at + 1
      open = call('LINDEX', key('buffer', name), at)
    end
    places[i] = open
  end
  return places
end

local TURN_SPLIT, RESTARTED = 1, 4 -- flags of a window (include/prelude.lua)

-- Open the burst anew. Its window is that of the messages that came since, or else is over. What came since may be gone, and
-- what is there older.
local function reopened(conv, left, depth)
  local mark_rules = sub(conv.superseded, 15)
  local last_ms, opened_ms, _, _, window_ms, why, flags = struct.unpack('>I6I6I4I4I4BB', conv.span) -- include/seal.lua
  for _, entry in ipairs(left) do
    conv.bytes = (conv.bytes or 0) + size_of(entry)
  end
  if last_ms > (conv.last_ms or 0) then
    conv.last_ms, conv.window_ms, conv.why = last_ms, window_ms, why
  end
  conv.depth = #left + depth
  conv.opened_ms = min(conv.opened_ms or opened_ms, opened_ms)
  conv.deadline_ms = conv.deadline_ms or min(now_ms, number(conv, 'closed_ms'))
  conv.flags = bit.bor(conv.flags or bit.band(flags, TURN_SPLIT), RESTARTED)
  conv.rules = conv.rules or mark_rules ~= '' and mark_rules or nil
end

-- The wait that was counted at the seal was no wait: the person had not done.
local function count_taken_back(conv)
  local last_ms, opened_ms, _, claimed_ms = struct.unpack('>I6I6I4I4', conv.span)
  local waited_ms = max(0, opened_ms + claimed_ms - last_ms)
  tally(conv, wait_bucket(waited_ms), -1, 'wait_ms:sum', -waited_ms)
  tally(conv, 'flushes_superseded', 1)
end

local function note_taken_back(conv, messages)
  local taken = conv.taken_back and cmsgpack.unpack(conv.taken_back) or { '', 0 }
  local ids = (conv.supersedes and conv.supersedes .. ' ' or '') .. conv.flush_id
  taken[1] = taken[1] == '' and ids or taken[1] .. ' ' .. ids
  taken[2], taken[3] = max(taken[2], number(conv, 'crashes')), now_ms
  local record = summary(conv, 'superseded', messages)
  record[#record + 1], record[#record + 2] = 'superseded_ms', now_ms
  taken[#taken + 1] = record
  conv.taken_back = cmsgpack.pack(taken)
end

-- Everything is read before the first write, and the list of the batch goes right after its messages are back: a script
-- that is cut off and runs again must not put them back twice.
local function rejoin(name, conv)
  local depth, entries = call('LLEN', key('buffer', name)), call('LRANGE', key('batch', name), 0, -1)
  local left, revoked, used = after_changes(name, conv, by_arrival(entries))
  local places = places_of(name, left)
  allow_writes_when_full()
  leave_suspects(name, conv)
  if #entries == 0 then
    rearm(name, conv)
    discard_batch(name, conv, 'lost')
    return
  end
  note_taken_back(conv, #entries)
  if #left + depth > 0 then
    reopened(conv, left, depth)
  end
  rearm(name, conv)
  for i, entry in ipairs(left) do
    if places[i] then
      call('LINSERT', key('buffer', name), 'BEFORE', places[i], entry)
    else
      call('RPUSH', key('buffer', name), entry)
    end
  end
  call('DEL', key('batch', name))
  if conv.opened_ms then
    call('HSET', key('conv', name), 'window', pack_window(conv), 'taken_back', conv.taken_back)
    call('SET', key('timer', name), '', 'PX', max(1, number(conv, 'deadline_ms') - now_ms))
  end
  if #revoked > 0 then
    record_discard(conv, 'revoke', #revoked)
    drop_media(name, revoked)
  end
  if #used > 0 then
    call('HDEL', key('mark', name), unpack(used))
  end
  conv.has_media = nil
  count_taken_back(conv)
  forget_batch(name, conv)
  if not conv.opened_ms then
    local cause = 'revoke'
    -- include: end_taken_back
  end
end
